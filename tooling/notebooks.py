"""Run the notebooks, and leave them with their outputs in ``reports/notebooks``.

``python -m tooling.notebooks`` runs all of ``docs/notebooks``, each in an empty folder and a
process of its own; with numbers, such as ``03``, those. One fails on an error, on a warning or
anything else that is written to standard error, and if it shows no picture, a picture without
alternative text, or no table. Needs jupytext, nbclient and ipykernel.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parent.parent.resolve()
SOURCES = ROOT / "docs" / "notebooks"
REPORTS = ROOT / "reports" / "notebooks"
STRICT = """
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel|IPython")  # the kernel's own affairs
"""
SECONDS = 600  # in which a kernel has to start, and a cell to end


def chosen(numbers: Sequence[str]) -> list[Path]:
    """Return the notebooks to run, all of them if no numbers are given.

    Raises:
        SystemExit: There is no notebook of such a number.
    """
    sources = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    there = [source.name[:2] for source in sources]
    if unknown := [number for number in numbers if number not in there]:
        raise SystemExit(f"no notebook {unknown[0]!r}; there are: {', '.join(there)}")
    return [source for source in sources if not numbers or source.name[:2] in numbers]


def faults(cells: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Go over what is wrong with the outputs of a notebook's cells."""
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    for output in outputs:
        if output["output_type"] == "error":
            yield f"{output['ename']}: {output['evalue']}"
        if output.get("name") == "stderr":
            yield f"on standard error: {output['text'].strip()}"
    pictures = [output for output in outputs if "image/png" in output.get("data", ())]
    if not pictures:
        yield "shows no picture"
    for picture in pictures:
        if not picture["metadata"].get("image/png", {}).get("alt", "").strip():
            yield "shows a picture without alternative text"
    if not any("<table" in output.get("data", {}).get("text/html", "") for output in outputs):
        yield "shows no table"


def run(source: Path, target: Path) -> list[str]:
    """Execute a notebook, write it with its outputs, and return what is wrong with it."""
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    notebook = jupytext.read(source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))  # no part of what is written
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        os.environ["IPYTHONDIR"] = folder  # no one's own settings
        NotebookClient(
            notebook,
            kernel_name="python3",
            startup_timeout=SECONDS,
            timeout=SECONDS,
            allow_errors=True,  # the first stops nothing, and is told with what follows from it
            resources={"metadata": {"path": folder}},
        ).execute()
    del notebook.cells[0]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # the same in every run
        for counted in (cell, *cell.get("outputs", ())):
            if counted.get("execution_count"):
                counted["execution_count"] -= 1
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return list(faults(notebook.cells))


def main(numbers: Sequence[str]) -> int:
    """Run notebooks, and tell of each how long it took and what is wrong."""
    import matplotlib.font_manager  # noqa: F401 - on a new machine it writes its cache, and says so

    failed = 0
    for source in chosen(numbers):
        start = perf_counter()
        wrong = run(source, REPORTS / f"{source.stem}.ipynb")
        failed += bool(wrong)
        print(f"{source.stem}: {perf_counter() - start:.0f} s", *wrong, sep="\n  ", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
