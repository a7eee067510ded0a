"""The files of a run: two models and a report, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import tt_nn as nn
from tt_profile.quantization import load_quantized

from ._models import make_model
from ._report import SCHEMA
from ._run import Result

MODEL, SMALL, PAGE, RECORD = "model.safetensors", "small.safetensors", "report.md", "report.json"


def save(result: Result, folder: Path) -> None:
    """Write a run's files into a folder, the record last: where it is, all are.

    Args:
        result: The run.
        folder: The folder, made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)  # of an earlier run
    nn.save(result.model.state_dict(), folder / MODEL)
    nn.save(result.small.state_dict(), folder / SMALL)
    for name, text in ((PAGE, result.report.as_markdown()), (RECORD, result.report.as_json())):
        unfinished = folder / f".{name}"
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, folder / name)


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of a run.

    Args:
        folder: Its folder.

    Raises:
        ValueError: There is none, or it is not one of this program.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); capstone train makes one"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); make it again with capstone train"
        ) from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise ValueError(f"{path} is not a record of schema {SCHEMA}; make it again")
    return record


def load_models(folder: Path) -> tuple[nn.Module, nn.Module]:
    """Load the two models of a run, ready to be asked.

    Args:
        folder: Its folder.

    Raises:
        ValueError: There is no record, or a file does not fit its model.
    """
    blank = make_model(read_record(folder)["model"], seed=0).eval()
    small = load_quantized(blank, nn.load(folder / SMALL))
    blank.load_state_dict(nn.load(folder / MODEL))
    return blank, small
