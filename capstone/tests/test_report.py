"""The page and the record."""

import json

import pytest

from capstone import Costs, Epoch, Report

pytestmark = pytest.mark.module_20

REPORT = Report(
    model="mine",
    seed=3,
    parameters=12_345,
    history=(Epoch(1, 2.25, 0.5), Epoch(2, 0.0625, 0.98765)),
    accuracy=0.97123,
    costs=Costs(49_380, 34_442, 1.25e-5, 1_048_576),
    way="int4 weights",
    small_accuracy=0.96,
    small_costs=Costs(7_900, 34_708, 0.00123, 2_000),
)
PAGE = """\
# mine, seed 3

12,345 parameters, 2 epochs.

| | as trained | int4 weights |
| --- | --- | --- |
| accuracy on held-out digits | 97.1% | 96.0% |
| memory of the model | 49.4 kB | 7.9 kB |
| peak memory of a pass | 1048.6 kB | 2.0 kB |
| FLOPs for an image | 34,442 | 34,708 |
| time for an image | 12.5 µs | 1230.0 µs |

| epoch | loss | validation accuracy |
| --- | --- | --- |
| 1 | 2.2500 | 50.0% |
| 2 | 0.0625 | 98.8% |
"""


def test_the_page() -> None:
    assert REPORT.as_markdown() == PAGE


def test_the_record_has_every_figure() -> None:
    record = json.loads(REPORT.as_json())
    assert record["schema"] == 1
    assert record["accuracy"] == 0.97123
    assert record["history"][1] == {"number": 2, "loss": 0.0625, "accuracy": 0.98765}
    assert record["small_costs"]["memory_bytes"] == 7_900
