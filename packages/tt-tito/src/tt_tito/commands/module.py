"""`tito module`: the modules of the course, and the learner's own code for them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from tt_tito._catalogue import catalogue, find_root
from tt_tito._errors import TitoError
from tt_tito._terminal import coloured, paragraph
from tt_tito.course._curriculum import Module, package_folder, package_of
from tt_tito.course._exercises import decode, is_blank, locate
from tt_tito.course._unlock import Unlocks
from tt_tito.trial._outcome import print_outcome, shown
from tt_tito.workspace._fingerprint import HERS_ALONE, beside_exercises
from tt_tito.workspace._standing import ModuleStanding, module_standing, needed_modules
from tt_tito.workspace._workspace import FOLDER, Change, Workspace

from ._places import add_workspace_options

MOST = 50  # failing tests after which a module's tests stop: she mends one at a time
COLOURS = {"completed": "green", "stale": "yellow", "started": "bold"}


def main(argv: Sequence[str]) -> int:
    """Run `tito module` and return its exit code."""
    options = _parser().parse_args(argv)
    workspace = open_workspace(options)
    match options.action:
        case "list":
            return list_modules(workspace)
        case "restore":
            return restore(workspace, options.number, options.date)
        case "solution":
            return solution(workspace, options.number, options.exercise, peek=options.peek)
        case action:
            actions = {
                "info": explain, "start": start, "test": check, "complete": complete,
                "reset": reset, "update": update,
            }  # fmt: skip
            return actions[action](workspace, options.number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito module",
        description="Write the course's modules yourself, in a workspace of your own.",
    )
    add_workspace_options(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the modules, and how far you are")
    for name, text, more in (
        ("info", "what a module asks for, and what you have of it", ""),
        (
            "start",
            "make its packages in your workspace, with the exercises blank",
            "Packages that you have already keep all that you wrote; a backup is made of them.",
        ),
        (
            "test",
            "test your code in a clean environment",
            "Your packages are built and installed with only what they depend on: yours where you "
            "have them, else the course's. The exit code is 1 if a test fails.",
        ),
        ("complete", "test your code, and record that it passes", ""),
        (
            "reset",
            "make its exercises blank again; your work moves to a backup",
            "A package with your work on other modules keeps that.",
        ),
        (
            "restore",
            "bring back what a backup has of a module",
            "What it replaces is in a backup of its own.",
        ),
        (
            "update",
            "take in the course's packages as they are now, with your exercises in them",
            "Those of the module and those that they depend on, where you have them. Files that "
            "only you have stay. What stood there is in a backup.",
        ),
        (
            "solution",
            "show the course's code for an exercise that you have solved",
            "It is shown once you have completed the module and your code has not changed since.",
        ),
    ):
        action = actions.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}. {more}".strip()
        )
        action.add_argument("number", metavar="NN", help="the module's number, such as 02")
        if name == "restore":
            action.add_argument(
                "--from", dest="date", metavar="DATE",
                help="the backup's date or how it begins; by default the last reset's",
            )  # fmt: skip
        if name == "solution":
            action.add_argument("exercise", metavar="EXERCISE", help="its name, or the end of it")
            action.add_argument(
                "--peek", action="store_true", help="show it before; that is recorded"
            )
    return parser


def open_workspace(options: argparse.Namespace) -> Workspace:
    """Open the workspace that the flags name."""
    root = options.root or find_root(Path.cwd())
    return Workspace.open(root, options.workspace)


# --- What there is --------------------------------------------------------------------------------


def list_modules(workspace: Workspace) -> int:
    """Print a line for each module."""
    snapshot = workspace.snapshot()
    for module in workspace.curriculum.modules:
        print_module(module_standing(workspace, module, snapshot))
    return 0


def print_module(standing: ModuleStanding) -> None:
    """Print a line about a module: its number, its name, its packages, how far it is."""
    module = standing.module
    head = f"{module.number}  "
    text = f"{module.name} ({', '.join(module.packages)}): {standing}"
    lines = paragraph(text, first=head, rest=" " * len(head))
    colour = COLOURS.get(standing.kind)
    print((coloured(head, colour) if colour else head) + lines[len(head) :])


def explain(workspace: Workspace, number: str) -> int:
    """Print what a module asks for, what the learner has of it, and how to go on."""
    module = workspace.curriculum.module(number)
    standing = module_standing(workspace, module)
    print(coloured(paragraph(f"Module {module.number}: {module.name}"), "bold"))
    print_field("State", str(standing))
    print_field("Guide", module.guide)
    print_field("Packages", ", ".join(module.packages))
    unlocks = Unlocks(workspace.curriculum)
    needing = [
        entry.number
        for entry in catalogue(workspace.root)
        if module in needed_modules(workspace, entry, unlocks)
    ]
    print_field("Milestones that need it", ", ".join(needing) or "none")
    print()
    _print_exercises(workspace, module)
    if found := workspace.backups(module):
        print()
        print(coloured("Backups", "bold"))
        for backup in found:
            text = f"{backup.date}: {', '.join(backup.packages)}"
            occasion = f" (before '{backup.occasion} {backup.module}')"
            print(paragraph(text + occasion, first="  ", rest="    "))
    print()
    action = "start" if standing.kind == "not started" else "test"
    print_command(workspace, f"module {action} {module.number}")
    return 0


def print_field(name: str, text: str) -> None:
    """Print a name and what belongs to it."""
    print(paragraph(f"{name}: {text}", rest="  "))


def _print_exercises(workspace: Workspace, module: Module) -> None:
    """Print each exercise: where it stands in her files, and whether it is still blank."""
    print(coloured("Exercises", "bold"))
    above = None
    for exercise in module.exercises:
        folder = workspace.package(package_of(exercise))
        if folder is None or module.number not in workspace.state.modules:
            print(paragraph(exercise, first="  ", rest="    "))
            continue
        try:
            place = locate(folder, exercise)
            state = "blank" if is_blank(folder, exercise) else "written"
        except TitoError as error:
            print(paragraph(f"{exercise}: {error}", first="  ", rest="    "))
            continue
        if place.file != above:
            print(f"  {shown(folder / place.file)}")
            above = place.file
        head = f"{place.line:>6}  "
        print(paragraph(f"{exercise}: {state}", first=head, rest=" " * len(head)))


def print_command(workspace: Workspace, words: str) -> None:
    """Print a command so that it finds this checkout and workspace from the current folder."""
    group, _, action = words.partition(" ")
    flags = ""
    if not Path.cwd().is_relative_to(workspace.root):
        flags += f'--root "{workspace.root}" '
    if workspace.folder != workspace.root / FOLDER:
        flags += f'--workspace "{shown(workspace.folder)}" '
    print(f"  tito {group} {flags}{action}")


# --- Start, reset, restore, update ----------------------------------------------------------------


def start(workspace: Workspace, number: str) -> int:
    """Start a module and say where to write."""
    module = workspace.curriculum.module(number)
    again = module.number in workspace.state.modules
    change = workspace.start(number)
    title = f"Module {module.number} ({module.name})"
    if again and not change.made:
        print(
            paragraph(
                f"{title} was started before; nothing is changed. 'tito module reset "
                f"{module.number}' makes its exercises blank again."
            )
        )
    else:
        print(paragraph(f"{title} is started{' again' if again else ''}."))
    for package in change.made:
        print(paragraph(f"Made {shown(workspace.folder / package)}."))
    if change.backup:
        print(
            paragraph(
                "What you have in "
                f"{_and(shown(workspace.folder / name) for name in change.backup.packages)} "
                f"stays; it is in the backup {change.backup.date} as well."
            )
        )
    if change.kept:
        print(
            paragraph(
                f"Not made blank, since they are not the course's any more: {_and(change.kept)}."
            )
        )
    print()
    _print_exercises(workspace, module)
    print()
    print(paragraph(f"The guide is {module.guide}. When you have written something:"))
    print_command(workspace, f"module test {module.number}")
    return 0


def reset(workspace: Workspace, number: str) -> int:
    """Make a module's exercises blank again, and say where the learner's work is."""
    module = workspace.curriculum.module(number)
    change = workspace.reset(number)
    if not change.made and not change.changed:
        print(paragraph(f"Module {module.number} ({module.name}) is as blank as it was made."))
        return 0
    print(paragraph(f"Module {module.number} ({module.name}): its exercises are blank again."))
    if change.backup:
        print(
            paragraph(
                f"What you wrote is in the backup {change.backup.date} "
                f"({shown(change.backup.path)}). This brings it back:"
            )
        )
        print_command(workspace, f"module restore {module.number}")
    return 0


def restore(workspace: Workspace, number: str, date: str | None) -> int:
    """Bring back what a backup has of a module, and say what was replaced."""
    module = workspace.curriculum.module(number)
    change = workspace.restore(number, date)
    assert change.source
    title = f"Module {module.number} ({module.name})"
    print(paragraph(f"{title}: {_restored(workspace, change)} from {change.source.date}."))
    if change.backup:
        print(
            paragraph(
                f"What stood there is in the backup {change.backup.date}. This brings it back:"
            )
        )
        print_command(workspace, f"module restore {module.number} --from {change.backup.date}")
    return 0


def _restored(workspace: Workspace, change: Change) -> str:
    if not change.made and not change.changed:
        return "nothing to bring back, your code is as it was in the backup"
    things = [shown(workspace.folder / name) for name in change.made] + list(change.changed)
    return f"{_and(things)} {'is' if len(things) == 1 else 'are'} back"


def update(workspace: Workspace, number: str) -> int:
    """Take in the course's packages as they are now, and say what to look at."""
    module = workspace.curriculum.module(number)
    done = workspace.update(number)
    title = f"Module {module.number} ({module.name})"
    if not done.made:
        print(paragraph(f"{title}: what you have is as new as the course."))
        return 0
    places = _and(shown(workspace.folder / name) for name in done.made)
    print(paragraph(f"{title}: made anew from the course, with your exercises in it: {places}."))
    if done.backup:
        text = f"What stood there is in the backup {done.backup.date}"
        print(paragraph(f"{text} ({shown(done.backup.path)})."))
    for source in done.sources:
        text = f"An update that did not end had left {_and(source.packages)} in the backup"
        print(paragraph(f"{text} {source.date} ({shown(source.path)}), where yours is taken from."))
    for names, text in (
        (done.beside, "Differed beside the exercises; what you wrote there is in the backup"),
        (done.given, "The course's, since you have not started them; yours are in the backup"),
        (done.left, "In the backup only, since the course has something of that name"),
        (done.unlike, "With other arguments than before, so look at your code"),
        (done.blank, "Blank, since nothing of yours fits; what you wrote is in the backup"),
    ):
        if names:
            print(paragraph(f"{text}: {_and(names)}."))
    print()
    print_command(workspace, f"module test {module.number}")
    return 0


# --- Test, complete, solution ---------------------------------------------------------------------


def check(workspace: Workspace, number: str) -> int:
    """Test the learner's code of a module."""
    return 0 if _passed_tests(workspace, number) else 1


def complete(workspace: Workspace, number: str) -> int:
    """Test the learner's code of a module, and record that it passes."""
    module = workspace.curriculum.module(number)
    before = workspace.module_fingerprint(number)
    passed = _passed_tests(workspace, number)
    if not passed:
        return 1
    workspace.module_completed(number, before, tests=passed)
    print(coloured(paragraph(f"Module {module.number} ({module.name}) is completed."), "green"))
    return 0


def _passed_tests(workspace: Workspace, number: str) -> int:
    """Test the learner's code, print what was found, and return how many tests a pass has."""
    from tt_tito.trial._testing import check_module, unfinished

    workspace.check(number)
    module = workspace.curriculum.module(number)
    packages = workspace.packages()
    waiting = unfinished(workspace.curriculum, packages, workspace.state.modules)
    for name in module.packages:  # what is tested is hers in any case
        waiting.pop(name, None)
    outcome = check_module(
        workspace.curriculum,
        module.number,
        {name: folder for name, folder in packages.items() if name not in waiting},
        cache=workspace.folder / ".tito" / "wheels",
        most=MOST,
    )
    installed = {source.name for source in outcome.sources}
    for name, reason in waiting.items():
        if name in installed:
            print(paragraph(f"{name} is the course's here, not yours: {reason}"))
    print_outcome(module, outcome)
    if not outcome.ok and (blank := workspace.unwritten(module)):
        print()
        print(paragraph(f"Not written yet: {_and(blank)}."))
    if not outcome.ok:
        mine = [source.name for source in outcome.sources if source.owner == "mine"]
        _print_beside(workspace, module, mine)
    return outcome.passed if outcome.ok else 0


def _print_beside(workspace: Workspace, module: Module, packages: Iterable[str]) -> None:
    """Print which files of hers differ from the course's where no exercise stands."""
    names = [
        f"{package}/{name}"
        for package in packages
        for name in beside_exercises(workspace.curriculum, package, workspace.folder / package)
        if not name.endswith(HERS_ALONE)
    ]
    if names:
        print()
        print(
            paragraph(
                f"Not as the course has it, beside the exercises: {_and(names)}. If you did not "
                "change that, the course is newer than your copy. This takes it in and keeps your "
                "exercises:"
            )
        )
        print_command(workspace, f"module update {module.number}")


def solution(workspace: Workspace, number: str, name: str, *, peek: bool) -> int:
    """Print the course's code for an exercise, if the learner has solved it or wants to peek."""
    module = workspace.curriculum.module(number)
    exercise = find_exercise(module, name)
    folder = package_folder(workspace.root, package_of(exercise))
    place = locate(folder, exercise)
    standing = module_standing(workspace, module)
    if standing.kind != "completed":
        if not peek:
            why = (
                "has changed since you completed it"
                if standing.kind == "stale"
                else "is not completed yet"
            )
            raise TitoError(
                f"Module {module.number} {why}, so the course's code is not shown. 'tito module "
                f"complete {module.number}' tests yours; --peek shows ours now, and records that."
            )
        workspace.peeked(exercise)
    lines = decode((folder / place.file).read_bytes()).splitlines()
    print(paragraph(f"{exercise}, {shown(folder / place.file)}, line {place.line}:"))
    print()
    print("\n".join(lines[place.line - 1 : place.body[1]]))
    return 0


def find_exercise(module: Module, name: str) -> str:
    """Find an exercise of a module by its name or the end of it.

    Args:
        module: The module.
        name: The name, such as ``"Tensor.__add__"``.

    Raises:
        TitoError: If there is none, or more than one.
    """
    matches = [exercise for exercise in module.exercises if f".{exercise}".endswith(f".{name}")]
    if name in matches or len(matches) == 1:
        return name if name in matches else matches[0]
    if matches:
        raise TitoError(
            f"{name!r} is the end of more than one exercise of module {module.number}: "
            f"{_and(matches)}. Give more of the name."
        )
    close = get_close_matches(name, [end for e in module.exercises for end in _ends(e)], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise TitoError(
        f"Module {module.number} has no exercise {name!r}.{hint} It has {_and(module.exercises)}."
    )


def _ends(name: str) -> list[str]:
    """All ends of a dotted name, the whole of it first."""
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _and(names: Iterable[str]) -> str:
    """Join names as in a sentence.

    Example:
        >>> _and(["a", "b", "c"])
        'a, b and c'
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
