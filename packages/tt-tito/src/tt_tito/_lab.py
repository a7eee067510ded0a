"""The lab in which a milestone runs: its flags, its notebook, its verdict."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal, SupportsFloat, TypeVar

from ._bar import Bound
from ._catalogue import identify
from ._errors import SKIP_MISSING_DATA, MissingDataError, TitoError
from ._flags import DEFAULT, Defaults, Flags, Mode, Option, parse_flags, with_recipe
from ._recipe import Recipe
from ._report import (
    Block,
    Cell,
    Excerpt,
    Heading,
    Note,
    Report,
    cannot_write,
    make_table,
    open_folder,
    verdict,
    write_report,
)
from ._terminal import paragraph, print_error

if TYPE_CHECKING:  # loaded when a run needs them, so that `tito --help` stays quick
    from matplotlib.figure import Figure

    from tt_nn import Module

    from ._notebook import Notebook
    from ._systems import Growth

Phase = Literal["data", "train", "evaluate"]
T = TypeVar("T")
V = TypeVar("V", int, float, str, bool)


@dataclass(frozen=True, slots=True)
class Milestone:
    """A milestone's script: what it is judged by, and what its flags start from.

    Under ``mpiexec`` all processes run the experiment, and the first of them alone shows it,
    measures the systems section, writes the report and judges. The CPUs are shared out among them.

    The number and the year come from the folder that the script stands in, the title and the story
    from its docstring, so each is said once.

    Args:
        script: The script's ``__file__``.
        bar: For each metric that is judged, what it must reach.
        epochs: Epochs of a full run.
        demo_epochs: Epochs under ``--demo-mode``.
        batch_size: Examples in a batch.
        threads: How many threads large kernels use, see `tt_nn.set_num_threads`; ``"all"`` for one
            on each CPU, None to leave them as they are. A second thread gains little on small
            matrices, and loses much when another program wants its core.
        options: Flags of this script alone.
        demo_bar: The bar of a demo, where less than a minute cannot reach that of a full run; the
            same bar if None.
        recipes: Other ways to run it, by the name that ``--recipe`` takes; what stands above is
            ``default``.

    Example:
        A script ends with::

            if __name__ == "__main__":
                milestone = Milestone(
                    __file__,
                    bar={"accuracy": at_least(0.95)},
                    epochs=30,
                    demo_epochs=10,
                    batch_size=50,
                )
                sys.exit(milestone.run(experiment))
    """

    script: str
    bar: Mapping[str, Bound]
    epochs: int
    demo_epochs: int
    batch_size: int
    threads: int | Literal["all"] | None = None
    options: tuple[Option, ...] = ()
    demo_bar: Mapping[str, Bound] | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    def run(self, experiment: Callable[[Lab], None], argv: Sequence[str] | None = None) -> int:
        """Run an experiment and judge it.

        Args:
            experiment: The milestone itself. It gets the lab.
            argv: Flags; those of the process if None.

        Returns:
            The exit code: 0 if the bar is met (or nothing was judged), 1 if it is not, 2 for a
            usage or data error (0 for `MissingDataError` where that is to be skipped), 130 if the
            user interrupted the run. Of several processes, all but the first leave the verdict
            to that one.
        """
        from ._environment import launched_processes

        if hasattr(sys.stdout, "reconfigure"):  # a narrow encoding gets "?", not a traceback
            sys.stdout.reconfigure(errors="replace")
        path = Path(self.script).absolute()
        rank, _ = launched_processes()
        name = f"{path.name}, rank {rank}" if rank else path.name
        try:
            with ExitStack() as stack:
                if rank > 0:
                    nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                    stack.enter_context(redirect_stdout(nowhere))
                lab = self._open(path, list(sys.argv[1:] if argv is None else argv))
                experiment(lab)
                return lab._close()
        except TitoError as error:
            print_error(name, str(error))
            if isinstance(error, MissingDataError) and os.environ.get(SKIP_MISSING_DATA):
                if rank == 0:
                    line = f"NOT RUN: {path.name}, for want of its data. It was not judged."
                    print(paragraph(line))
                return 0
            return 2
        except KeyboardInterrupt:
            print_error(name, "Interrupted; no report was written.")
            return 130

    def _open(self, path: Path, argv: list[str]) -> Lab:
        from tt_nn import set_num_threads

        from ._environment import keep_freed_memory, launched_processes, share_of_cpus
        from ._notebook import Notebook
        from ._script import read_script

        rank, processes = launched_processes()
        number, year, _ = identify(path.parent)
        script = read_script(path)
        own = Recipe(self.bar, self.epochs, self.demo_epochs, self.batch_size, self.demo_bar)
        recipes = {DEFAULT: own, **self.recipes}
        defaults = Defaults(
            recipes=recipes,
            report_dir=Path("reports", f"milestone_{number}", path.stem),
            threads=share_of_cpus() if self.threads == "all" or processes > 1 else self.threads,
            options=self.options,
        )
        flags = parse_flags(argv, defaults, program=path.name, description=script.title)
        recipe = recipes[flags.recipe]
        demo_bar = recipe.bar if recipe.demo_bar is None else recipe.demo_bar
        if rank == 0:
            open_folder(flags.report_dir)
        launcher = ["mpiexec", "-n", str(processes)] if processes > 1 else []
        report = Report(
            milestone=number,
            script=path.name,
            mode=flags.mode,
            seed=flags.seed,
            bar=demo_bar if flags.mode == "demo" else recipe.bar,
            year=year,
            title=script.title,
            story=script.story,
            command=shlex.join([*launcher, "python", path.name, *argv]),
        )
        keep_freed_memory()
        if flags.threads is not None:
            set_num_threads(flags.threads)
        notebook = Notebook()
        notebook.title(report, flags)
        return Lab(flags, path, report, notebook, speaks=rank == 0)


@dataclass(slots=True)
class Lab:
    """One run of a milestone. What it is told is shown on the terminal and stands in the report.

    Attributes:
        flags: What the user asked for.
        speaks: Whether this process is the one that shows, measures and writes; of several that
            run the same experiment, one is.
    """

    flags: Flags
    _script: Path
    _report: Report
    _notebook: Notebook
    speaks: bool = True
    _started: float = field(default_factory=perf_counter)
    _seconds: dict[str, float] = field(
        default_factory=lambda: {"data": 0.0, "train": 0.0, "evaluate": 0.0}
    )
    _measured: bool = False

    @property
    def mode(self) -> Mode:
        """Whether this is a ``full``, ``demo``, ``test-only`` or ``pretrained`` run."""
        return self.flags.mode

    @property
    def offline(self) -> bool:
        """Whether to leave the network alone: in a demo that runs all scripts of a milestone."""
        return self.mode == "demo" and bool(os.environ.get(SKIP_MISSING_DATA))

    @property
    def epochs(self) -> int:
        """How often to go over the training data; 0 where nothing is to be trained."""
        return self.flags.epochs

    @property
    def batch_size(self) -> int:
        """Examples in a batch."""
        return self.flags.batch_size

    @property
    def seed(self) -> int:
        """Seed of every random choice."""
        return self.flags.seed

    @property
    def recipe(self) -> str:
        """The name of the recipe: ``default`` unless ``--recipe`` names another."""
        return self.flags.recipe

    def option(self, name: str, kind: type[V]) -> V:
        """The value of one of the script's own flags.

        Args:
            name: The flag as a name: ``hidden_units`` for ``--hidden-units``.
            kind: Its type.

        Raises:
            TypeError: If the flag is of another type.
        """
        value = self.flags.options[name]
        if not isinstance(value, kind):
            raise TypeError(f"option {name!r} is {value!r}, which is not {kind.__name__}")
        return value

    def load_weights(self, model: Module) -> None:
        """Load the weights that ship with the repository, made by this script.

        Args:
            model: Takes them over.

        Raises:
            TitoError: If they are not there, damaged, or made for another model.
        """
        from tt_nn import load

        path = with_recipe(self._script.with_suffix(".safetensors"), self.recipe)
        advice = (
            f"Run {self._script.name} without --use-pretrained: it leaves its weights in the "
            f"report's folder as {path.name}, and from there they can be copied to {path.parent}."
        )
        if not path.is_file():
            raise TitoError(f"--use-pretrained: {path} is not there. {advice}")
        try:
            model.load_state_dict(load(path))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).removesuffix(".")
            raise TitoError(f"--use-pretrained: {path} does not fit: {reason}. {advice}") from error

    def save_weights(self, model: Module, *, half: bool = False) -> None:
        """Leave the trained weights in the report's folder; nothing if none were trained here.

        Args:
            model: What was trained.
            half: Whether to round them to float16, for a file of half the size.

        Raises:
            TitoError: If they cannot be written.
        """
        from tt_nn import save

        if self.epochs == 0 or not self.speaks:
            return
        path = with_recipe(self.flags.report_dir / f"{self._script.stem}.safetensors", self.recipe)
        state = model.state_dict()
        if half:
            state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        try:
            save(state, path)
        except OSError as error:
            raise cannot_write(self.flags.report_dir, error) from error

    @contextmanager
    def timed(self, phase: Phase) -> Iterator[None]:
        """Count the time of a block towards a phase of the run.

        Args:
            phase: ``data``, ``train`` or ``evaluate``.
        """
        start = perf_counter()
        try:
            yield
        finally:
            self._seconds[phase] += perf_counter() - start

    def seconds(self, phase: Phase) -> float:
        """The time counted so far towards a phase.

        Args:
            phase: ``data``, ``train`` or ``evaluate``.
        """
        return self._seconds[phase]

    def progress(self, items: Iterable[T], description: str) -> Iterator[T]:
        """Go through items with a progress bar, shown on a terminal only.

        Args:
            items: What to go through.
            description: What is being done.
        """
        return self._notebook.progress(items, description)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._add(Heading(text))

    def note(self, text: str) -> None:
        """Say something in a paragraph. Line breaks inside it are not kept."""
        self._add(Note(" ".join(text.split())))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Show a table.

        Args:
            title: What it shows.
            columns: Names of the columns.
            rows: A cell for each column, text or number.
        """
        self._add(make_table(title, columns, list(rows)))

    def excerpt(self, title: str, pieces: Iterable[str]) -> str:
        """Show a text as it stands, line by line, and piece by piece as it comes.

        Args:
            title: What it is.
            pieces: The text, or its pieces. A character that cannot be shown gets a sign in its
                place.

        Returns:
            The whole text, as it was shown.
        """
        text = self._notebook.stream(title, pieces)
        self._report.blocks.append(Excerpt(title, text))
        return text

    def ask(self, question: str) -> str | None:
        """Ask the user for a line.

        Args:
            question: What to ask.

        Returns:
            The line without its end; None where there are no more.
        """
        return self._notebook.ask(question)

    def metric(self, name: str, value: SupportsFloat) -> None:
        """Record a measured value. The bar is held against it.

        Args:
            name: The metric, such as ``held_out_accuracy``.
            value: What was measured.

        Raises:
            ValueError: If that metric was recorded before.
        """
        if name in self._report.metrics:
            raise ValueError(f"metric {name!r} was recorded before; a run measures it once")
        self._report.metrics[name] = float(value)

    def picture(
        self,
        name: str,
        draw: Callable[[Figure], None],
        *,
        alt: str,
        caption: str,
        size: tuple[float, float] = (5.6, 4.0),
    ) -> None:
        """Draw a picture: a PNG file, and a place in the report.

        Args:
            name: Its file name without the ending.
            draw: Draws on an empty figure. It is called twice, for light and for dark pages, and
                uses matplotlib's defaults and the colours ``C0`` to ``C4``, which follow the theme.
            alt: What the picture shows, for who cannot see it.
            caption: What it means.
            size: Width and height in inches.
        """
        if not self.speaks:
            return
        from .pictures import draw_picture

        self._add(draw_picture(name, draw, alt=alt, caption=caption, size=size))

    def systems(
        self,
        model: Module,
        *inputs: object,
        step: Callable[[], object],
        growth: Mapping[str, Growth],
    ) -> None:
        """Measure what the model costs: the systems section of the report.

        Args:
            model: The model.
            inputs: A batch, as the model is called with.
            step: One training step, forward and backward; its peak memory is reported.
            growth: For each size to vary, a function that builds a step of a given size, and the
                sizes. Time and memory of each are measured, and their exponents fitted; under
                ``--test-only``, which makes one pass and no more, they are not.
        """
        self._measured = True
        if not self.speaks:
            return
        from . import _systems

        if self.mode == "test-only":
            systems = _systems.measure(model, inputs, step, growth={}, repeats=1)
        else:
            systems = _systems.measure(model, inputs, step, growth, repeats=7)
        self._report.parameters = systems.parameters
        self._report.flops_forward = systems.flops_forward
        self._report.peak_memory_bytes = systems.peak_memory_bytes
        self._report.scaling = systems.rows
        self.heading("Systems")
        for block in _systems.describe(systems):
            self._add(block)
        if systems.growth:
            self._add(_systems.picture(systems))

    def _add(self, block: Block) -> None:
        self._report.blocks.append(block)
        self._notebook.show(block)

    def _close(self) -> int:
        """Judge the run, write the report, and return the exit code."""
        if not self._measured:
            raise RuntimeError("the experiment ended without its systems section: lab.systems(...)")
        if not self.speaks:
            return 0
        from ._environment import describe_environment
        from ._html import render_page

        report = self._report
        report.environment = describe_environment()
        if self.mode != "test-only":
            report.passed = verdict(report.bar, report.metrics)
        report.seconds = {**self._seconds, "total": perf_counter() - self._started}
        write_report(report, render_page(report), self.flags.report_dir)
        self._notebook.verdict(report, self.flags.report_dir)
        return 1 if report.passed is False else 0
