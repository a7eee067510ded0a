"""Where a learner stands: each module, each milestone, and what is next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tt_tito._catalogue import Entry, catalogue
from tt_tito._errors import TitoError

from tt_tito.course._curriculum import Module
from ._fingerprint import Snapshot
from ._state import MilestoneRecord, ModuleRecord
from tt_tito.course._unlock import Unlocks
from ._workspace import Workspace


@dataclass(frozen=True, slots=True)
class ModuleStanding:
    """How far a module is.

    Attributes:
        module: The module.
        kind: ``"stale"`` is one that was completed, and whose code has changed since.
        record: What is recorded of it.
        blank: Its exercises that are not written yet.
        changes: What has changed since it was completed.
        problem: Why its exercises cannot be read, such as a file that does not parse.
    """

    module: Module
    kind: Literal["not started", "started", "completed", "stale"]
    record: ModuleRecord | None = None
    blank: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    problem: str | None = None

    def __str__(self) -> str:
        total = len(self.module.exercises)
        if self.kind == "not started":
            if self.record is None:
                return "not started"
            return f"started on {day(self.record.started)}, but not in the workspace any more"
        assert self.record
        if self.record.completed is None:
            if self.problem:
                return "started"
            if self.blank:
                return f"started, {total - len(self.blank)} of {total} exercises written"
            return f"started, all {total} exercises written"
        completed = f"completed on {day(self.record.completed)}, {self.record.tests} tests"
        return completed if self.kind == "completed" else f"stale; was {completed}"


@dataclass(frozen=True, slots=True)
class MilestoneStanding:
    """How far a milestone is.

    Attributes:
        entry: The milestone.
        kind: ``"stale"`` is one that passed on her packages, which have changed since.
        missing: The modules that it needs and that are not completed, or stale.
        record: What is recorded of it.
        changes: What has changed since it passed.
    """

    entry: Entry
    kind: Literal["locked", "unlocked", "passed", "stale"]
    missing: tuple[Module, ...] = ()
    record: MilestoneRecord | None = None
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.record is None:
            return self.kind
        passed = f"passed on {day(self.record.passed)}"
        return passed if self.kind == "passed" else f"stale; {passed}"


def day(when: datetime) -> str:
    """The date of a time, where the learner is."""
    return f"{when.astimezone():%Y-%m-%d}"


def module_standing(
    workspace: Workspace, module: Module, snapshot: Snapshot | None = None
) -> ModuleStanding:
    """Tell how far a module is.

    Args:
        workspace: The learner's workspace.
        module: The module.
        snapshot: Her packages, looked at before; None looks at them now.
    """
    record = workspace.state.modules.get(module.number)
    if record is None or not all(map(workspace.package, module.packages)):
        return ModuleStanding(module, "not started", record)
    try:
        blank, problem = workspace.unwritten(module), None
    except TitoError as error:
        blank, problem = (), str(error)
    if record.fingerprint is None:
        return ModuleStanding(module, "started", record, blank, problem=problem)
    current = (snapshot or workspace.snapshot()).of_module(module.number)
    changes = record.fingerprint.changes(current)
    kind: Literal["stale", "completed"] = "stale" if changes else "completed"
    return ModuleStanding(module, kind, record, blank, changes, problem)


def milestone_standings(
    workspace: Workspace, modules: Sequence[ModuleStanding], snapshot: Snapshot
) -> list[MilestoneStanding]:
    """Tell how far each milestone of the checkout is.

    Args:
        workspace: The learner's workspace.
        modules: How far each module is.
        snapshot: Her packages.

    Raises:
        TitoError: If a milestone's script cannot be read.
    """
    completed = {standing.module for standing in modules if standing.kind == "completed"}
    unlocks = Unlocks(workspace.curriculum)
    standings = []
    for entry in catalogue(workspace.root):
        needed = needed_modules(workspace, entry, unlocks)
        missing = tuple(module for module in needed if module not in completed)
        record = workspace.state.milestones.get(entry.number)
        if record is None:
            kind: Literal["locked", "unlocked"] = "locked" if missing else "unlocked"
            standings.append(MilestoneStanding(entry, kind, missing))
            continue
        changes = record.fingerprint.changes(snapshot.fingerprint(needed))
        result: Literal["stale", "passed"] = "stale" if changes else "passed"
        standings.append(MilestoneStanding(entry, result, missing, record, changes))
    return standings


def needed_modules(
    workspace: Workspace, entry: Entry, unlocks: Unlocks | None = None
) -> tuple[Module, ...]:
    """Return the modules that the scripts of a milestone need, in order.

    Args:
        workspace: The learner's workspace.
        entry: The milestone.
        unlocks: What reads the course's packages, to be shared by several calls.

    Raises:
        TitoError: If a script cannot be read.
    """
    unlocks = unlocks or Unlocks(workspace.curriculum)
    return unlocks.modules_for(*entry.scripts)


def next_step(
    modules: Sequence[ModuleStanding], milestones: Sequence[MilestoneStanding]
) -> tuple[str, str] | None:
    """Say what to do next, and the words for it after `tito`; None if all is done.

    What is stale comes first, then a milestone that has been unlocked, then what has been started.

    Args:
        modules: How far each module is.
        milestones: How far each milestone is.
    """
    for standing in modules:
        if standing.kind == "stale":
            number, name = standing.module.number, standing.module.name
            return f"test {name} as it is now", f"module complete {number}"
    for milestone in milestones:
        if milestone.kind in ("unlocked", "stale") and not milestone.missing:
            number = milestone.entry.number
            return f"run {milestone.entry.name} on your code", f"milestone run {number} --mine"
    for standing in modules:
        if standing.kind == "started":
            number, name = standing.module.number, standing.module.name
            if standing.problem:
                return f"mend {name}", f"module test {number}"
            if standing.blank:
                return f"write {standing.blank[0]}", f"module test {number}"
            return f"complete {name}", f"module complete {number}"
    for standing in modules:
        if standing.kind == "not started":
            return f"start {standing.module.name}", f"module start {standing.module.number}"
    return None
