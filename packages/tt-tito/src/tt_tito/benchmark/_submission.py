"""A submission: a folder with a model, its weights, and a record of what was measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tt_tito._report import write_whole

from ._checks import Rejected, fields, integer, one_of, parse_json, sha256, show, text
from ._figures import EVENTS, Event, Figure, parse_figure
from ._folder import read_file, relative_path
from ._passes import Configuration
from ._tensors import check_safetensors

SCHEMA = 1
Division = Literal["closed", "open"]
DIVISIONS: tuple[Division, ...] = get_args(Division)

RECORD, MODEL, WEIGHTS = "submission.json", "model.json", "model.safetensors"
MAX_JSON = 1 << 20
MAX_WEIGHTS_BYTES = 1 << 28

NAME, SEED = text(80), integer(0, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class Submission:
    """What `submission.json` says, and the files that it names.

    Attributes:
        name: Who or what competes.
        task: The task.
        event: The event.
        division: ``"closed"``: the reference's model and weights; ``"open"``: any model.
        seed: Which inputs were given where times were measured.
        reference_sha256: The digest of the reference's weights.
        data_sha256: The digest of the data.
        environment: What it was measured on.
        figures: What is claimed, or was measured.
        configuration: The model and how it is run.
        weights: The contents of the weights' file.
    """

    name: str
    task: str
    event: Event
    division: Division
    seed: int
    reference_sha256: str
    data_sha256: str
    environment: Mapping[str, object]
    figures: Mapping[str, Figure]
    configuration: Configuration
    weights: bytes

    @property
    def model(self) -> bytes:
        """The contents of the model's file."""
        return dump(self.configuration.as_json())


def dump(value: object) -> bytes:
    """Write JSON as a person reads it."""
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def file_sha256(data: bytes) -> str:
    """The SHA-256 of a file's contents."""
    return hashlib.sha256(data).hexdigest()


def write_submission(submission: Submission, folder: Path) -> None:
    """Write a submission's folder, its record last.

    Args:
        submission: The submission.
        folder: Where to; it is made.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS, submission.weights)
    write_whole(folder / MODEL, submission.model)
    contents = {"model": (MODEL, submission.model), "weights": (WEIGHTS, submission.weights)}
    record = {
        "schema": SCHEMA,
        "name": submission.name,
        "task": submission.task,
        "event": submission.event,
        "division": submission.division,
        "seed": submission.seed,
        "files": {
            kind: {"path": path, "sha256": file_sha256(data)}
            for kind, (path, data) in contents.items()
        },
        "reference_sha256": submission.reference_sha256,
        "data_sha256": submission.data_sha256,
        "environment": submission.environment,
        "figures": {name: figure.as_json() for name, figure in submission.figures.items()},
    }
    write_whole(folder / RECORD, dump(record))


def replace_figures(folder: Path, submission: Submission) -> None:
    """Write what was measured here in the place of what a verified submission claimed.

    Args:
        folder: Its folder.
        submission: The submission as it was verified.

    Raises:
        OSError: It cannot be written; the record is then as it was.
    """
    record = json.loads((folder / RECORD).read_bytes())
    record["figures"] = {name: each.as_json() for name, each in submission.figures.items()}
    record["environment"] = submission.environment
    write_whole(folder / RECORD, dump(record))


def _file(value: object, where: str) -> dict[str, Any]:
    return fields(value, where, {"path": relative_path, "sha256": sha256}, {})


def _files(value: object, where: str) -> dict[str, Any]:
    return fields(value, where, {"model": _file, "weights": _file}, {})


def parse_figures(value: object, where: str) -> dict[str, Figure]:
    """Figures by name; which names is for the event to say."""
    if not isinstance(value, dict) or len(value) > 16:
        raise Rejected(f"{where}: expected an object of figures, got {show(value)}.")
    return {name: parse_figure(each, f"{where}: {show(name)}") for name, each in value.items()}


def parse_environment(value: object, where: str) -> dict[str, object]:
    """What it was measured on is for people: any object, whose words can be shown."""
    if not isinstance(value, dict):
        raise Rejected(f"{where}: expected an object, got {show(value)}.")
    return value


def read_submission(folder: Path) -> Submission:
    """Read a submission that someone else made, and check all that can be without running it.

    Args:
        folder: Its folder.

    Raises:
        Rejected: Something in it is not as it must be.
    """
    value = parse_json(read_file(folder, RECORD, MAX_JSON), RECORD)
    if isinstance(value, dict) and "schema" in value and value["schema"] != SCHEMA:
        raise Rejected(
            f"{RECORD}: schema {show(value['schema'])} is not known here; this version of tt-tito "
            f"reads schema {SCHEMA}."
        )
    record = fields(
        value,
        RECORD,
        {
            "schema": integer(SCHEMA, SCHEMA),
            "name": NAME,
            "task": text(80),
            "event": one_of(EVENTS),
            "division": one_of(DIVISIONS),
            "seed": SEED,
            "files": _files,
            "reference_sha256": sha256,
            "data_sha256": sha256,
            "environment": parse_environment,
            "figures": parse_figures,
        },
        {},
    )
    files = record.pop("files")
    model = _read(folder, files["model"], MAX_JSON)
    weights = _read(folder, files["weights"], MAX_WEIGHTS_BYTES)
    check_safetensors(weights, files["weights"]["path"])
    path = files["model"]["path"]
    del record["schema"]
    configuration = Configuration.parse(parse_json(model, path), path)
    return Submission(**record, configuration=configuration, weights=weights)


def _read(folder: Path, file: Mapping[str, str], limit: int) -> bytes:
    data = read_file(folder, file["path"], limit)
    if file_sha256(data) != file["sha256"]:
        raise Rejected(
            f"{file['path']}: its SHA-256 is {file_sha256(data)}, {RECORD} says {file['sha256']}."
        )
    return data
