"""`tito checkpoint`: where the learner stands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tt_tito._terminal import coloured, paragraph
from tt_tito.course._curriculum import Module
from tt_tito.workspace._standing import (
    MilestoneStanding,
    milestone_standings,
    module_standing,
    next_step,
)
from tt_tito.workspace._workspace import Workspace

from ._places import add_workspace_options
from .module import open_workspace, print_command, print_module

COLOURS = {"passed": "green", "stale": "yellow", "unlocked": "bold"}
NAMED = 4  # changes that are named; of more, there is the number


def main(argv: Sequence[str]) -> int:
    """Run `tito checkpoint` and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="tito checkpoint", description="Say where you stand in the course."
    )
    add_workspace_options(parser)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser(
        "status",
        help="modules, milestones, what is next, and what your changes have made stale",
        description="Print how far each module is, which milestones are unlocked, what is next, "
        "and what has changed since it was recorded.",
    )
    return status(open_workspace(parser.parse_args(argv)))


def status(workspace: Workspace) -> int:
    """Print how far every module and every milestone is, and what is next."""
    snapshot = workspace.snapshot()
    modules = [
        module_standing(workspace, module, snapshot) for module in workspace.curriculum.modules
    ]
    milestones = milestone_standings(workspace, modules, snapshot)
    print(coloured("Modules", "bold"))
    for module in modules:
        print_module(module)
        if module.problem:
            _print_under(module.problem)
        elif module.changes:
            _print_under(f"changed since: {_some(module.changes)}")
    print()
    print(coloured("Milestones", "bold"))
    for milestone in milestones:
        _print_milestone(milestone, workspace.curriculum.modules)
    if workspace.state.peeked:
        print()
        print(paragraph(f"Solutions seen before: {', '.join(sorted(workspace.state.peeked))}."))
    print()
    step = next_step(modules, milestones)
    if step is None:
        print(paragraph("All modules are completed and all milestones passed on your own code."))
        return 0
    what, words = step
    print(paragraph(f"Next, {what}:"))
    print_command(workspace, words)
    return 0


def _print_milestone(standing: MilestoneStanding, modules: Sequence[Module]) -> None:
    head = f"{standing.entry.number}  "
    text = f"{standing.entry.name} ({standing.entry.year}): {standing}"
    lines = paragraph(text, first=head, rest=" " * len(head))
    colour = COLOURS.get(standing.kind)
    print((coloured(head, colour) if colour else head) + lines[len(head) :])
    if standing.missing:
        _print_under(f"needs {_ranges(standing.missing, modules)} completed")
    if standing.changes:
        _print_under(f"changed since: {_some(standing.changes)}")


def _print_under(text: str) -> None:
    print(paragraph(text, first="    ", rest="      "))


def _ranges(some: Sequence[Module], modules: Sequence[Module]) -> str:
    """Name modules by their numbers, those in a row by the first and the last."""
    rows: list[list[str]] = []
    for before, module in zip((None, *modules), modules, strict=False):
        if module in some:
            if before not in some:
                rows.append([])
            rows[-1].append(module.number)
    return ", ".join(row[0] if len(row) == 1 else f"{row[0]} to {row[-1]}" for row in rows)


def _some(names: Sequence[str]) -> str:
    named = ", ".join(names[:NAMED])
    return named if len(names) <= NAMED else f"{named} and {len(names) - NAMED} more"
