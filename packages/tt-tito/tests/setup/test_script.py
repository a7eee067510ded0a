"""The dependency block at the top of a script, as PEP 723 has it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from tt_tito import TitoError
from tt_tito._script import parse_block, read_script

pytestmark = pytest.mark.module_01

PATH = Path("a script.py")
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
RANGES = st.sampled_from(["", ">=0.1", ">=0.1,<0.2", "==2.*", "!=1.0", "~=3.4"])


def block(*lines: str) -> str:
    """Lines of TOML as a block."""
    commented = [f"# {line}" if line else "#" for line in lines]
    return "\n".join(["# /// script", *commented, "# ///", ""])


@given(st.lists(st.tuples(NAMES, RANGES), max_size=4), st.sampled_from(["", ">=3.11", ">=3,<4"]))
def test_what_stands_in_a_block_is_read(needs: list[tuple[str, str]], python: str) -> None:
    lines = [f'    "{name}{versions}",' for name, versions in needs]
    source = block(f'requires-python = "{python}"', "", "dependencies = [", *lines, "]")
    versions_of_python, found = parse_block(source, PATH)
    assert versions_of_python == SpecifierSet(python)
    assert [each.name for each in found] == [name for name, _ in needs]
    for requirement, (_, versions) in zip(found, needs, strict=True):
        assert requirement.specifier == SpecifierSet(versions)


@pytest.mark.parametrize("before", ["", "#!/usr/bin/env python3\n", '"""Text."""\n\nimport sys\n'])
@pytest.mark.parametrize("after", ["", "\nprint('# /// script')\n", "# a comment\n"])
def test_what_stands_around_it_is_not(before: str, after: str) -> None:
    source = before + block('dependencies = ["numpy"]') + after
    assert [each.name for each in parse_block(source, PATH)[1]] == ["numpy"]


def test_a_block_of_another_kind_is_not_it() -> None:
    other = block('dependencies = ["wrong"]').replace("script", "tool")
    source = other + "\n" + block('dependencies = ["right"]')
    assert [each.name for each in parse_block(source, PATH)[1]] == ["right"]


def test_an_empty_block_asks_for_nothing() -> None:
    python, needs = parse_block(block("# nothing"), PATH)
    assert (python, needs) == (SpecifierSet(), ())


ERRORS: dict[str, tuple[str, str]] = {
    "none": ("x = 1\n", "has no dependency block"),
    "no end": ("# /// script\n# dependencies = []\n", "has no end"),
    "two": (block("") + "\n" + block(""), "2 dependency blocks"),
    "no TOML": (block("dependencies = ["), "not valid TOML"),
    "no list": (block("dependencies = 'numpy'"), "must be a list"),
    "no text": (block("dependencies = [3]"), "must be a string; got 3"),
    "no requirement": (block("dependencies = ['two words']"), "'two words' is not a requirement"),
    "no version": (block("requires-python = 3.11"), "must be a string like '>=3.11', got 3.11"),
    "no range": (block("requires-python = 'new'"), "'new' is not a version range"),
}


@pytest.mark.parametrize(("source", "message"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_is_told_with_the_file(source: str, message: str) -> None:
    with pytest.raises(TitoError) as caught:
        parse_block(source, PATH)
    assert message in str(caught.value)
    assert str(PATH) in str(caught.value)


def test_a_script_tells_its_story_and_its_needs(tmp_path: Path) -> None:
    path = tmp_path / "line.py"
    text = block('dependencies = ["tt-nn>=0.1", "tt-tito", "numpy", "TT.Optim"]')
    path.write_text(f'{text}"""A line fits.\n\nIts story.\n"""\n')
    script = read_script(path)
    assert (script.title, script.story) == ("A line fits", "Its story.")
    assert len(script.requirements) == 4
    assert [each.name for each in script.prerequisites] == ["tt-nn", "TT.Optim"]
