"""What a run shows in a terminal or a pipe, and what it asks there."""

import io
import re
from collections.abc import Iterator

import pytest

from tt_tito import Lab

from .experiments import REPORT, Run, experiment_with, measure_systems


def test_a_pipe_gets_plain_text_without_progress(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(experiment_with(0.95)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert not re.search(r"\x1b|\r", out)
    assert "training" not in out.splitlines()
    for said in ("Milestone 01 (1957)", "A note over two lines.", "[red]two[/red]", "PASSED"):
        assert said in out


def test_nothing_is_coloured_where_no_colour_is_wanted(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the pipe for a terminal
    assert run(experiment_with(0.95)) == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", capsys.readouterr().out)


def test_an_excerpt_is_shown_as_it_comes_and_stands_in_the_report(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    def pieces() -> Iterator[str]:
        yield "ROMEO:\n  O, [b]she[/b] "
        shown.append(capsys.readouterr().out)
        yield "doth <teach>\x1b[2J!"

    def experiment(lab: Lab) -> None:
        text = lab.excerpt("A speech", pieces())
        assert text == "ROMEO:\n  O, [b]she[/b] doth <teach>\N{REPLACEMENT CHARACTER}[2J!"
        lab.metric("accuracy", 1.0)
        measure_systems(lab)

    assert run(experiment) == 0
    assert shown[0].endswith("A speech\nROMEO:\n  O, [b]she[/b] ")
    assert capsys.readouterr().out.startswith("doth <teach>\N{REPLACEMENT CHARACTER}[2J!\n")
    page = (REPORT / "report.html").read_text(encoding="utf-8")
    assert "ROMEO:\n  O, [b]she[/b] doth &lt;teach&gt;" in page


def test_a_line_is_asked_for_until_there_are_no_more(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("To be\n\n"))
    answers: list[str | None] = []

    def experiment(lab: Lab) -> None:
        answers.extend(lab.ask("Your line:") for _ in range(3))
        lab.metric("accuracy", 1.0)
        measure_systems(lab)

    assert run(experiment) == 0
    assert answers == ["To be", "", None]
    assert "Your line:" in capsys.readouterr().out
