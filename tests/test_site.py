"""What is written for the site, and what is checked of it once it is built."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import griffe
import markdown
import pytest

from tooling.packages import Package, WorkspaceError, read_packages
from tooling.site.check import errors_of
from tooling.site.commands import (
    Rule,
    commands_in,
    copy_checkout,
    outside,
    read_rules,
    rule_of,
    script_of,
    shown_commands,
)
from tooling.site.formulas import mathml
from tooling.site.notebooks import notebook_page
from tooling.site.places import Places, places_of, section_of, shown
from tooling.site.public import Module, public_modules
from tooling.site.runs import milestone_page
from tooling.site.written import Site, write_site

Write = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def modules(packages: tuple[Package, ...]) -> dict[str, Module]:
    found = public_modules(packages)
    return {module.name: module for modules in found.values() for module in modules}


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site where no milestone was run and no notebook executed."""
    empty = tmp_path_factory.mktemp("empty")
    return write_site(repository, empty, empty)


# Public names


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tt_tensor", "Tensor"),
        ("tt_autograd", "Tensor"),
        ("tt_nn", "Conv2d"),
        ("tt_nn.functional", "conv2d"),
        ("tt_nn.init", "kaiming_uniform_"),
        ("tt_nn.models", "GPT"),
        ("tt_data", "Compose"),
        ("tt_optim", "Trainer"),
    ],
)
def test_a_public_name_is_found_where_users_import_it(
    modules: dict[str, Module], module: str, name: str
) -> None:
    assert f"{module}.{name}" in modules[module].names


def test_what_several_modules_offer_belongs_to_the_first(modules: dict[str, Module]) -> None:
    assert ("matmul", "tt_tensor.matmul") in modules["tt_autograd"].shared
    assert ("cat", "tt_tensor.concat") in modules["tt_tensor"].shared
    assert ("Compose", "tt_data.Compose") in modules["tt_data.transforms"].shared
    own = [name for module in modules.values() for name in module.names]
    assert len(own) == len(set(own))
    assert not [name for name in own if re.search(r"\._|^_", name)]


def test_every_public_name_has_an_entry(site: Site, modules: dict[str, Module]) -> None:
    text = "\n".join(text for page, text in site.pages.items() if page.startswith("packages/"))
    entries = re.findall(r"(?m)^::: (\S+)$", text)
    assert len(entries) == len(set(entries))
    for name in ("tt_nn", "tt_nn.functional", "tt_tensor.ops", "tt_optim.distributed"):
        assert set(modules[name].names) <= set(entries)


def test_names_are_read_from_sources(write: Write, tmp_path: Path) -> None:
    write("pyproject.toml", '[tool.hatch.envs.default]\nworkspace.members = ["packages/tt-x"]')
    write("packages/tt-x/pyproject.toml", '[project]\nname = "tt-x"\ndependencies = []')
    folder = "packages/tt-x/src/tt_x"
    imports = "from . import b as b\nfrom ._a import f as f\nfrom ._a import g\n"
    imports += "from .b import C as C\n"
    write(f"{folder}/__init__.py", f'"""One. Two.\n\nMore.\n"""\n{imports}h = f\n_i: int = 1\n')
    write(f"{folder}/_a.py", '"""The functions."""\ndef f(): ...\ndef g(): ...\n')
    write(f"{folder}/b.py", '"""B."""\nclass C: ...\nD: int = 2\n')
    ((package, (top, b)),) = public_modules(read_packages(tmp_path)).items()
    assert package.name == "tt-x"
    assert (top.name, top.summary) == ("tt_x", "One. Two")
    assert top.own == {"tt_x._a": ["tt_x.f"], "tt_x.b": ["tt_x.C"]}
    assert top.shared == [("h", "tt_x.f")]
    assert b.own == {"tt_x.b": ["tt_x.b.D"]}
    assert b.shared == [("C", "tt_x.C")]


# Links and parts


@pytest.fixture
def places(repository: Path, packages: tuple[Package, ...]) -> Places:
    script = repository / "milestones/02_1969_xor_crisis/xor_solved.py"
    return places_of(repository, packages, {"xor_solved": script})


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("../packages/tt-nn", "../packages/tt-nn/index.md"),
        ("../packages/tt-nn/README.md#images", "../packages/tt-nn/index.md#images"),
        ("02_1969_xor_crisis/xor_solved.py", "xor_solved.md"),
        ("../docs/modules/06_autograd.md", "../modules/06_autograd.md"),
        ("../docs/images/milestone_02.png", "../images/milestone_02.png"),
        ("../curriculum.toml", "../source/curriculum.toml.md"),
        ("#data", "#data"),
        ("https://example.org/a", "https://example.org/a"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(
    places: Places, link: str, there: str
) -> None:
    text = f"See [this]({link}).\n```python\nx = f[0](a)\n```\n"
    page = places.on_page(text, "milestones/README.md", "milestones/index.md")
    assert page == text.replace(link, there)
    assert set(places.sources) == ({"source/curriculum.toml.md"} if "toml" in link else set())


def test_a_link_to_nothing_is_an_error(places: Places) -> None:
    with pytest.raises(WorkspaceError, match=r"no-such-file\.py: linked"):
        places.on_page("[a](no-such-file.py)", "README.md", "index.md")


def test_a_page_includes_parts_of_readmes(write: Write, tmp_path: Path) -> None:
    write("a/README.md", "# A\n\nfirst\n\n## B\n\nthe [B](b.py)\n\n### C\n\n## D\n")
    write("a/b.py", "x = 1\n")
    places = Places(tmp_path, {})
    page = places.in_full('# P\n--8<-- "a/README.md"\n--8<-- "a/README.md#B"\n', "p/q.md")
    assert page == "# P\nfirst\nthe [B](../source/a/b.py.md)\n\n### C\n"
    assert "```python\nx = 1\n```" in places.source_pages()["source/a/b.py.md"]
    with pytest.raises(WorkspaceError, match="has no ## E"):
        places.in_full('--8<-- "a/README.md#E"', "p/q.md")


def test_a_session_of_python_is_shown_as_one(places: Places) -> None:
    page = places.on_page("```python\n>>> 1\n1\n```", "README.md", "index.md")
    assert page == "```pycon\n>>> 1\n1\n```"


def test_no_part_of_the_milestones_readme_is_left_out(repository: Path) -> None:
    readme = (repository / "milestones/README.md").read_text(encoding="utf-8")
    pages = [repository / "docs/milestones/index.md", repository / "docs/questions.md"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for heading in re.findall(r"(?m)^## (.*)$", readme):
        assert f'--8<-- "milestones/README.md#{heading}"' in text
        assert section_of(readme, heading)


def test_code_with_fences_is_shown_in_a_longer_one() -> None:
    assert shown("a ``` b\n", "md") == "````md\na ``` b\n````\n"


def test_every_benchmark_is_explained(repository: Path) -> None:
    text = (repository / "docs/speed.md").read_text(encoding="utf-8")
    benchmarks = {path.name for path in repository.glob("benchmarks/[!_]*.py")}
    assert set(re.findall(r"(?m)^\| \[`\w+`\]\(\.\./benchmarks/(\w+\.py)\)", text)) == benchmarks


def test_every_package_is_in_the_list_of_packages(
    repository: Path, packages: tuple[Package, ...]
) -> None:
    text = (repository / "docs/packages/index.md").read_text(encoding="utf-8")
    listed = re.findall(r"(?m)^- \[`(tt-\w+)`\]\(\.\./\.\./packages/\1\): ", text)
    assert listed == [package.name for package in packages]


# Formulas and docstrings


def test_formulas_become_mathml() -> None:
    text = "The square, :math:`x^2`; `code`.\n\n.. math::\n\n    a &= b \\\\\n    c &= d\n\nEnd."
    html = markdown.markdown(text, extensions=["tooling.site.formulas"])
    assert html.count("<math ") == 2
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in html
    assert html.count("<mtr>") == 2
    assert "<code>code</code>" in html
    assert html.endswith("<p>End.</p>")
    assert ".. math" not in html


def test_an_underscore_in_a_formula_is_one() -> None:
    assert "<mtext>fan_in</mtext>" in mathml(r"\sqrt{\text{fan\_in}}")


def test_every_formula_of_the_packages_can_be_shown(repository: Path) -> None:
    formulas = [
        formula
        for path in repository.glob("packages/*/src/**/*.py")
        for formula in re.findall(r":math:`([^`]+)`", path.read_text(encoding="utf-8"))
    ]
    assert formulas
    for formula in formulas:
        assert "\\" not in mathml(" ".join(formula.split())), formula


def test_docstrings_link_what_they_name(repository: Path) -> None:
    extensions = griffe.load_extensions("tooling.site.docstrings")
    source = repository / "packages/tt-nn/src"
    package = griffe.load("tt_nn", search_paths=[source], extensions=extensions)
    mse = package["_losses.regression.MSELoss"].docstring.value
    assert "[`functional.mse_loss`][tt_nn.functional.mse_loss]" in mse
    assert "Examples:" in mse
    assert "Example:" not in mse
    pickable = package["_module.Module"].docstring.value + package["Module"].docstring.value
    assert "[`_" not in pickable  # what is private is no link


# Pages of runs


PIXEL = base64.b64encode(b"light").decode()
REPORT = f"""\
<main>
<p class="kicker">Milestone 02</p>
<h1>A title</h1>
<h2>A part</h2>
<figure><picture><source srcset="data:image/png;base64,{PIXEL}" media="(dark)">\
<img src="data:image/png;base64,{PIXEL}" alt="Two clouds"></picture></figure>
<pre>python xor.py --demo-mode --report-dir {{folder}}</pre>
</main>
"""


def write_report(folder: Path, **fields: object) -> None:
    folder.mkdir(parents=True)
    record = {"milestone": "02", "script": "xor.py", "mode": "demo", "seed": 3, **fields}
    (folder / "report.json").write_text(json.dumps(record), encoding="utf-8")
    page = REPORT.replace("{folder}", str(folder))
    (folder / "report.html").write_text(page, encoding="utf-8")


def test_a_run_becomes_a_page(write: Write, tmp_path: Path) -> None:
    script = write("xor.py", '"""A title."""\nx = 1\n')
    write_report(tmp_path / "milestone_02/xor")
    run = milestone_page("02", script, tmp_path)
    assert run.page.startswith("# 02 A title\n\n")
    assert "those of a run in demo mode" in run.page
    assert "with seed 3" in run.page
    assert "\n\n## A part\n\n" in run.page
    assert '<img src="xor/01-light.png#only-light" alt="Two clouds" loading="lazy">' in run.page
    assert run.files["milestones/xor/01-light.png"] == b"light"
    assert set(run.files) == {
        *("milestones/xor/01-light.png", "milestones/xor/01-dark.png"),
        "milestones/xor/report.json",
    }
    assert "<pre>python xor.py --demo-mode</pre>" in run.page
    assert str(tmp_path) not in run.page
    assert "    x = 1" in run.page


def test_a_report_of_another_script_is_refused(write: Write, tmp_path: Path) -> None:
    script = write("xor.py", '"""A title."""\n')
    write_report(tmp_path / "milestone_02/xor", script="other.py")
    with pytest.raises(WorkspaceError, match=r"of another script, other\.py"):
        milestone_page("02", script, tmp_path)


def test_a_script_that_was_not_run_says_so(write: Write, tmp_path: Path) -> None:
    script = write("mnist.py", '"""Digits.\n\nTheir story.\n"""\n')
    page = milestone_page("03", script, tmp_path).page
    assert page.startswith("# 03 Digits\n")
    assert "Not run for this site" in page
    assert "nox -s milestone_03 -- mnist" in page
    assert "Their story." in page


def test_every_script_has_a_page(site: Site, repository: Path) -> None:
    names = {path.stem for path in repository.glob("milestones/*/*.py")}
    assert {page for page in site.pages if page.startswith("milestones/")} == {
        f"milestones/{name}.md" for name in names
    }


def cell(kind: str, source: str, *outputs: dict[str, object]) -> dict[str, object]:
    return {"cell_type": kind, "source": [source], "outputs": list(outputs)}


def write_notebook(path: Path, *cells: dict[str, object]) -> Path:
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


def picture(**metadata: object) -> dict[str, object]:
    return {"output_type": "display_data", "data": {"image/png": PIXEL}, "metadata": metadata}


def test_a_notebook_becomes_a_page(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        cell("markdown", "# Title\nIt is $x^2$:\n\n$$ a\n= b $$"),
        cell("code", "1 + 1", {"output_type": "stream", "text": ["\x1b[1m2\x1b[0m\n"]}),
        cell("code", "t", {"output_type": "execute_result", "data": {"text/html": "<b>\n\nt</b>"}}),
        cell("code", "show()", picture(**{"image/png": {"alt": 'A "line"'}})),
    )
    notebook = notebook_page(path, "docs/notebooks/n.py")
    assert notebook.page.startswith("# Title\n\nThe notebook as text")
    assert ":math:`x^2`" in notebook.page
    assert ".. math:: a = b" in notebook.page
    assert "```text\n2\n```" in notebook.page
    assert '<div class="output"><b>\nt</b></div>' in notebook.page
    assert 'src="n/01.png" alt="A &quot;line&quot;"' in notebook.page
    assert notebook.files == {"notebooks/n/01.png": b"light"}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (picture(), "no words"),
        ({"output_type": "error", "ename": "ValueError", "evalue": "no"}, "ValueError: no"),
    ],
)
def test_a_notebook_that_cannot_be_shown_is_refused(
    tmp_path: Path, output: dict[str, object], message: str
) -> None:
    path = write_notebook(tmp_path / "n.ipynb", cell("code", "x", output))
    with pytest.raises(WorkspaceError, match=message):
        notebook_page(path, "docs/notebooks/n.py")


# Commands


def test_every_command_that_is_shown_has_one_rule_and_every_rule_a_command(site: Site) -> None:
    rules, commands = read_rules(), shown_commands(site.docs | site.pages)
    used = {rule_of(command, rules) for command in commands}
    assert used == set(rules)


def test_commands_are_read_from_shell_blocks() -> None:
    text = "`no`\n```sh\nnox -s a  # why\n# only words\n\nb\n```\n```python\nno()\n```\n"
    assert commands_in(text) == ["nox -s a", "b"]


def test_a_command_without_a_rule_or_with_two_is_an_error() -> None:
    rules = [Rule(("a.*",)), Rule((".*b",))]
    assert rule_of("ac", rules) is rules[0]
    for command in ("c", "ab"):
        with pytest.raises(WorkspaceError, match="expected 1"):
            rule_of(command, rules)


@pytest.mark.parametrize("said", ["", 'here = true\nunrun = "no"', 'here = true\nwhy = "no"'])
def test_a_rule_says_one_thing(write: Write, said: str) -> None:
    with pytest.raises(WorkspaceError, match="expected one of here, elsewhere and unrun"):
        read_rules(write("commands.toml", f"[[rule]]\nlike = ['a']\n{said}\n"))


def test_a_page_is_run_from_top_to_bottom_until_something_is_unexpected(tmp_path: Path) -> None:
    page = '```python title="a.txt"\n$HOME\n```\n```sh\ncat a.txt\nx=1\n(exit 3)\nelsewhere\n```\n'
    rules = [
        Rule(("cat .*", "x=1", "echo .*", "false")),
        Rule((r"\(exit 3\)",), exits=3),
        Rule(("elsewhere",), elsewhere="another"),
    ]
    script = script_of(page, ["echo x is $x", "false", "echo never"], rules)
    done = subprocess.run(
        ["bash", "-s"], input=script, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "$HOME" in done.stdout
    assert "x is 1" in done.stdout
    assert "never" not in done.stdout
    assert "exited with 1, expected 0: false" in done.stderr


def test_commands_run_outside_of_this_environment() -> None:
    own = str(Path(sys.executable).parent)
    variables = {"PATH": os.pathsep.join([own, "/usr/bin"]), "VIRTUAL_ENV": own, "HOME": "/h"}
    assert outside(variables | {"NOX_CURRENT_SESSION": "docs"}) == {
        "PATH": "/usr/bin", "HOME": "/h"
    }  # fmt: skip


def test_a_copy_of_the_checkout_has_no_results(write: Write, tmp_path: Path) -> None:
    for file in ("a/dist/kept.py", "tooling/site/kept.py", "site/lost.html", "dist/lost.whl"):
        write(f"root/{file}", "")
    write("root/.nox/tests/lost.py", "")
    copy_checkout(tmp_path / "root", tmp_path / "copy")
    files = [path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*.*")]
    assert {path.as_posix() for path in files} == {"a/dist/kept.py", "tooling/site/kept.py"}


# The built site


HEAD = '<!DOCTYPE html><html><body><h1 id="a">A</h1>'


@pytest.fixture
def built(write: Write, tmp_path: Path) -> Path:
    write("index.html", f'{HEAD}<a href="b/c.html#d">c</a><a href="https://example.org">e</a>')
    write("b/c.html", f'{HEAD}<p id="d"></p><a href="../index.html">up</a><a href="#a">a</a>')
    write("b/api.html", f'{HEAD}<h2 id="tt_nn.Conv2d">Conv2d</h2>')
    write("a b.png", "")
    docs = [{"title": "Conv2d", "location": "b/api.html#tt_nn.Conv2d", "text": ""}]
    write("search/search_index.json", json.dumps({"docs": docs}))
    return tmp_path


def test_a_sound_site_has_no_errors(built: Path) -> None:
    assert list(errors_of(built)) == []


@pytest.mark.parametrize(
    ("html", "message"),
    [
        ('<a href="d.html">d</a>', "there is no such file"),
        ('<a href="b/c.html#e">e</a>', "c.html has no id 'e'"),
        ('<a href="#e">e</a>', "page.html has no id 'e'"),
        ('<a href="../x.html">e</a>', "there is no such file"),
        ('<a href="/b/c.html">e</a>', "absolute"),
        ('<a href="http://example.org">e</a>', "not of the form"),
        ('<a href="https://example">e</a>', "not of the form"),
        ('<script src="https://example.org/a.js"></script>', "loaded from another site"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "loaded from another site"),
        ('<img src="a%20b.png">', "a picture without words"),
        ('<img src="none.png" alt="a"/>', "there is no such file"),
        ('<p id="a"></p>', "there is another id 'a'"),
    ],
)
def test_what_is_wrong_with_a_page_is_said(
    built: Path, write: Write, html: str, message: str
) -> None:
    write("page.html", f'{HEAD}\n<img src="a%20b.png" alt="a">\n{html}')
    (error,) = errors_of(built)
    assert message in error
    assert "page.html:3: " in error


@pytest.mark.parametrize(
    ("docs", "message"),
    [
        ([], "Conv2d is not found"),
        ([{"title": "Conv2d", "location": "no.html#tt_nn.Conv2d"}], "there is no such place"),
    ],
)
def test_a_search_that_does_not_find_is_an_error(
    built: Path, write: Write, docs: list[dict[str, str]], message: str
) -> None:
    write("search/search_index.json", json.dumps({"docs": docs}))
    (error,) = errors_of(built)
    assert message in error


def test_an_empty_site_is_an_error(tmp_path: Path) -> None:
    assert [error.partition(": ")[2] for error in errors_of(tmp_path)] == [
        "there is no page", "there is no index to search in"
    ]  # fmt: skip
