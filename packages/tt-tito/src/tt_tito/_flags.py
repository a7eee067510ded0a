"""The flags that every milestone understands, and those that a script adds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from ._errors import TitoError
from ._recipe import Recipe

DEFAULT = "default"  # the name of a script's first recipe

Mode = Literal["full", "demo", "test-only", "pretrained"]
Value = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Option:
    """A flag of one script.

    Attributes:
        flag: The flag, such as ``"--hidden-units"``.
        default: Its value when it is not given. It fixes the flag's type; False makes a switch.
        help: A line about it.
        choices: The values allowed; any value of the type if empty.
        demo: Its value under ``--demo-mode`` when it is not given; the default if None.
    """

    flag: str
    default: Value
    help: str
    choices: tuple[Value, ...] = ()
    demo: Value | None = None

    @property
    def name(self) -> str:
        """The flag as a name: ``hidden_units``."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Flags:
    """What the user asked for.

    Attributes:
        mode: ``full``, ``demo`` (less of everything), ``test-only`` (nothing is trained) or
            ``pretrained`` (weights are loaded instead of trained).
        epochs: How often to go over the training data; 0 where nothing is trained.
        batch_size: Examples in a batch.
        seed: Seed of every random choice.
        threads: Threads of large kernels; None to leave them as they are.
        data_dir: Folder with data sets; None for the data home.
        report_dir: Folder for the report.
        options: The values of the script's own flags, by name.
        recipe: The name of the recipe; ``default`` where a script has but one.
    """

    mode: Mode
    epochs: int
    batch_size: int
    seed: int
    threads: int | None
    data_dir: Path | None
    report_dir: Path
    options: dict[str, Value]
    recipe: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a script uses when its flags do not say otherwise.

    Attributes:
        recipes: The ways to run it, by name; ``default`` is one of them.
        report_dir: Folder for the report; the name of another recipe is added to it.
        threads: Threads of large kernels; None to leave them as they are.
        options: The script's own flags.
    """

    recipes: Mapping[str, Recipe]
    report_dir: Path
    threads: int | None = None
    options: tuple[Option, ...] = ()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are `TitoError`, told like every other error."""

    def error(self, message: str) -> NoReturn:
        sentence = message[:1].upper() + message[1:]
        raise TitoError(f"{sentence}. '{self.prog} --help' lists the flags.")


def parse_flags(
    argv: Sequence[str], defaults: Defaults, *, program: str, description: str
) -> Flags:
    """Parse a milestone's flags.

    Args:
        argv: Arguments after the program's name.
        defaults: What holds when a flag is not given.
        program: The script's name, for its help.
        description: A line about the script, for its help.

    Raises:
        TitoError: If a flag is unknown, its value out of range, or two flags exclude each other.
        SystemExit: After printing the help, when that was asked for.
    """
    given = _parser(defaults, program, description).parse_args(argv)
    mode: Mode = given.mode
    name: str = given.recipe
    recipe = defaults.recipes[name]
    if given.data_dir is not None and not given.data_dir.is_dir():
        raise TitoError(f"--data-dir {given.data_dir}: there is no such folder.")
    if mode in ("test-only", "pretrained"):
        epochs = 0
    elif given.epochs is not None:
        epochs = given.epochs
    else:
        epochs = recipe.demo_epochs if mode == "demo" else recipe.epochs
    return Flags(
        mode=mode,
        epochs=epochs,
        batch_size=given.batch_size or recipe.batch_size,
        seed=given.seed,
        threads=given.threads,
        data_dir=given.data_dir,
        report_dir=given.report_dir or with_recipe(defaults.report_dir, name),
        options={option.name: _value(option, given, mode) for option in defaults.options},
        recipe=name,
    )


def with_recipe(path: Path, recipe: str) -> Path:
    """The path of what belongs to a recipe; that of the default one keeps its name.

    Example:
        >>> with_recipe(Path("digits.safetensors"), "fast").name
        'digits_fast.safetensors'
    """
    return path if recipe == DEFAULT else path.with_stem(f"{path.stem}_{recipe}")


def _value(option: Option, given: argparse.Namespace, mode: Mode) -> Value:
    value: Value | None = getattr(given, option.name)
    if value is not None:
        return value
    return option.demo if mode == "demo" and option.demo is not None else option.default


def _parser(defaults: Defaults, program: str, description: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=program, description=description, allow_abbrev=False)
    parser.add_argument(
        "--epochs",
        type=_positive,
        metavar="N",
        help=f"times to go over the training data ({_each(defaults, 'epochs')}; "
        f"{_each(defaults, 'demo_epochs')} with --demo-mode)",
    )
    parser.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help=f"examples in a batch ({_each(defaults, 'batch_size')})",
    )
    parser.add_argument(
        "--seed", type=_natural, metavar="N", default=0, help="seed of every random choice (0)"
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        default=defaults.threads,
        help=f"threads of large kernels ({defaults.threads or 'left as they are'})",
    )
    modes = parser.add_mutually_exclusive_group()
    modes.set_defaults(mode="full")
    for flag, mode, text in (
        ("--test-only", "test-only", "build, one forward and backward pass, no training"),
        ("--demo-mode", "demo", "the same run with less of everything: under a minute"),
        ("--use-pretrained", "pretrained", "load the weights beside the script, do not train"),
    ):
        modes.add_argument(flag, dest="mode", action="store_const", const=mode, help=text)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder with data sets")
    parser.add_argument(
        "--report-dir",
        type=Path,
        metavar="DIR",
        help=f"folder for the report ({defaults.report_dir})",
    )
    parser.set_defaults(recipe=DEFAULT)
    if len(defaults.recipes) > 1:
        parser.add_argument(
            "--recipe",
            choices=tuple(defaults.recipes),
            help=f"which of the script's recipes ({DEFAULT})",
        )
    own = parser.add_argument_group("flags of this script") if defaults.options else parser
    for option in defaults.options:
        _add_option(own, option)
    return parser


def _each(defaults: Defaults, attribute: str) -> str:
    """What every recipe starts from, in the order of the recipes."""
    values = [str(getattr(recipe, attribute)) for recipe in defaults.recipes.values()]
    return " or ".join(values if len(set(values)) > 1 else values[:1])


def _add_option(group: argparse._ActionsContainer, option: Option) -> None:
    if option.default is False:
        group.add_argument(
            option.flag, dest=option.name, action="store_const", const=True, help=option.help
        )
    else:
        group.add_argument(
            option.flag,
            dest=option.name,
            type=type(option.default),
            choices=option.choices or None,
            metavar=None if option.choices else "X",
            help=f"{option.help} ({option.default})" if option.default != "" else option.help,
        )


def _positive(text: str) -> int:
    return _whole(text, least=1)


def _natural(text: str) -> int:
    return _whole(text, least=0)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        message = f"expected a whole number of at least {least}, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return value
