"""`tito milestone run NN --mine`: a milestone on the learner's own packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tt_tito._catalogue import Entry
from tt_tito._errors import TitoError
from tt_tito._terminal import coloured, paragraph
from tt_tito.workspace._standing import ModuleStanding, module_standing, needed_modules
from tt_tito.workspace._workspace import Workspace

from ._milestones import TRAINED, Verdict, requirements_of, run_scripts, stages
from ._outcome import print_sources
from ._process import foreground
from ._venv import Source, environment


def run_mine(
    workspace: Workspace, entry: Entry, scripts: Sequence[Path], flags: Sequence[str]
) -> int:
    """Run scripts of a milestone on the learner's packages and return the worst exit code.

    The environment is a clean one with exactly what the scripts name. That she passed the milestone
    is recorded if all of it was run, what this run has trained meets its bar, and the modules that
    it needs are completed.

    Args:
        workspace: Her workspace.
        entry: The milestone.
        scripts: Those of its scripts that are to run.
        flags: The flags of each of them.

    Raises:
        TitoError: If the milestone needs none of her packages, or one of them is not Python or
            cannot be built.
    """
    tried = stages(workspace.curriculum, scripts)
    mine = {name: path for name, path in workspace.packages().items() if name in tried}
    workspace.parse(mine)
    needed = needed_modules(workspace, entry)
    before = workspace.fingerprint(needed)
    lacking = [
        standing
        for module in needed
        if (standing := module_standing(workspace, module)).kind != "completed"
    ]
    cache = workspace.folder / ".tito" / "wheels"
    with environment(workspace.root, requirements_of(scripts), mine, cache=cache) as venv:
        _require_mine(workspace, entry, tried, venv.sources)
        print_sources(venv.sources)
        _print_lacking(lacking)
        print(flush=True)
        verdicts = run_scripts(venv, scripts, flags, folder=Path.cwd(), launch=foreground)
    code = max(verdict.code for verdict in verdicts)
    if reason := _unrecorded(entry, verdicts, lacking):
        print(paragraph(f"Not recorded as yours: {reason}"))
        return code
    workspace.milestone_passed(
        entry.number,
        needed,
        before,
        packages={source.name: source.owner for source in venv.sources},
        mode="full" if all(v.mode in ("full", None) for v in verdicts) else "demo",
    )
    words = f"Milestone {entry.number} ({entry.name}) is passed on your packages."
    print(coloured(paragraph(words), "green"))
    return code


def _require_mine(
    workspace: Workspace, entry: Entry, tried: Sequence[str], sources: Sequence[Source]
) -> None:
    if any(source.owner == "mine" for source in sources):
        return
    names = [source.name for source in sources if source.name in tried]
    raise TitoError(
        f"{workspace.folder} has none of the packages that milestone {entry.number} needs: "
        f"{', '.join(names)}. 'tito module start NN' begins one; without --mine the milestone runs "
        "on the packages that are installed."
    )


def _print_lacking(lacking: Sequence[ModuleStanding]) -> None:
    if not lacking:
        return
    print("Not complete of what it needs; it runs all the same:")
    for standing in lacking:
        head = f"  {standing.module.number} {standing.module.name}: "
        print(coloured(paragraph(str(standing), first=head, rest="    "), "yellow"))


def _unrecorded(
    entry: Entry, verdicts: Sequence[Verdict], lacking: Sequence[ModuleStanding]
) -> str | None:
    """Say why a milestone is not recorded, if it is not."""
    ran = {verdict.script for verdict in verdicts}
    if left_out := [path.stem for path in entry.scripts if path not in ran]:
        return f"{', '.join(left_out)} was not run."
    for verdict in verdicts:
        name = verdict.script.stem
        if verdict.code != 0:
            return f"{name} ended with exit code {verdict.code}."
        if verdict.mode is not None and verdict.mode not in TRAINED:
            return f"{name} was run with --{verdict.mode}, which trains nothing."
        if verdict.mode is not None and not verdict.passed:
            return f"the report of {name} does not say that it passed."
    if not any(verdict.ok for verdict in verdicts):
        return "no script left a report that says that it passed."
    if lacking:
        numbers = ", ".join(standing.module.number for standing in lacking)
        return f"complete what it needs first ({numbers}), then run it again."
    return None
