"""The leaderboard: verified results in one SQLite file.

A result is added in one transaction that is taken before anything is read, so that processes add
in turn, and one that is killed leaves nothing half done. The file is kept in SQLite's rollback
mode: between transactions it is one file, which can be copied.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tt_tito._errors import TitoError

from ._checks import (
    MAX_INT,
    Kind,
    Rejected,
    fields,
    integer,
    number,
    one_of,
    parse_json,
    sha256,
    show,
    text,
)
from ._figures import EVENTS, Figure
from ._passes import Configuration
from ._submission import DIVISIONS, NAME, file_sha256, parse_environment, parse_figures
from ._verify import Bench, Verdict, verify

VERSION = 2  # of the table; 1 did not say what results were measured against
WAIT = 60.0  # seconds for others to finish

TABLE = """
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    event TEXT NOT NULL,
    division TEXT NOT NULL,
    reference_sha256 TEXT NOT NULL,
    data_sha256 TEXT NOT NULL,
    name TEXT NOT NULL,
    ratio REAL NOT NULL,
    low REAL NOT NULL,
    high REAL NOT NULL,
    figures TEXT NOT NULL,
    configuration TEXT NOT NULL,
    environment TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    weights_sha256 TEXT NOT NULL,
    verified_at TEXT NOT NULL,
    UNIQUE (task, event, division, reference_sha256, data_sha256, name)
)
"""
INSERT = """
INSERT INTO results (task, event, division, reference_sha256, data_sha256, name, ratio, low, high,
    figures, configuration, environment, model_sha256, weights_sha256, verified_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, event, division, reference_sha256, data_sha256, name) DO UPDATE SET
    ratio = excluded.ratio, low = excluded.low, high = excluded.high,
    figures = excluded.figures, configuration = excluded.configuration,
    environment = excluded.environment, model_sha256 = excluded.model_sha256,
    weights_sha256 = excluded.weights_sha256, verified_at = excluded.verified_at
WHERE excluded.ratio > results.ratio
"""
SELECT = """
SELECT
    RANK() OVER (
        PARTITION BY task, event, division, reference_sha256, data_sha256 ORDER BY ratio DESC
    ) AS place,
    task, event, division, reference_sha256, data_sha256, name, ratio, low, high, figures,
    configuration, environment, verified_at
FROM results ORDER BY task, event, division, reference_sha256, data_sha256, place, name
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A verified result.

    Attributes:
        place: Its rank among those of its contest.
        task: The task.
        event: The event.
        division: The division.
        reference_sha256: The digest of the reference's weights that it was measured against.
        data_sha256: The digest of the data that it was measured with.
        name: Who or what competes.
        score: What it ranks by.
        figures: All that was measured.
        configuration: The model and how it is run.
        environment: What it was verified on.
        verified_at: When, in UTC.
    """

    place: int
    task: str
    event: str
    division: str
    reference_sha256: str
    data_sha256: str
    name: str
    score: Figure
    figures: dict[str, Figure]
    configuration: dict[str, Any]
    environment: dict[str, Any]
    verified_at: str

    @property
    def contest(self) -> tuple[str, str, str, str, str]:
        """What results that rank against each other have in common."""
        return self.task, self.event, self.division, self.reference_sha256, self.data_sha256


class Leaderboard:
    """Verified results in one file.

    Args:
        path: The file, made when something is first added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, folder: Path, bench: Bench) -> Verdict:
        """Verify a submission, and keep the result if it is accepted; see `keep`.

        Args:
            folder: The submission's folder. What it claims is not believed.
            bench: What to verify it with.

        Returns:
            The verdict.

        Raises:
            TitoError: This machine lacks what verification needs, or the file cannot be written.
        """
        verdict = verify(folder, bench)
        if verdict.accepted:
            self.keep(verdict)
        return verdict

    def keep(self, verdict: Verdict) -> bool:
        """Keep what verification found, unless the same name has done as well before.

        Of each name the best result against one reference and on the same data is kept.

        Returns:
            Whether it was kept.

        Raises:
            ValueError: The verdict rejects the submission: that does not rank.
            Rejected: Its name is none that a submission may have.
            TitoError: The file cannot be written, or is none of ours.
        """
        score, submission = verdict.score, verdict.submission
        assert submission is not None  # as it has a score
        figures = {name: figure.as_json() for name, figure in submission.figures.items()}
        values = (
            submission.task,
            submission.event,
            submission.division,
            submission.reference_sha256,
            submission.data_sha256,
            NAME(submission.name, "name"),
            score.ratio,
            score.low,
            score.high,
            json.dumps(figures, allow_nan=False),
            json.dumps(submission.configuration.as_json()),
            json.dumps(dict(submission.environment)),
            file_sha256(submission.model),
            file_sha256(submission.weights),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction("IMMEDIATE") as connection:
            if not self._begun(connection):
                connection.execute(TABLE)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            return bool(connection.execute(INSERT, values).rowcount)

    def rows(self) -> list[Row]:
        """Return all results, the best of each contest first.

        Raises:
            TitoError: The file cannot be read, is none of ours, or was changed by someone else.
        """
        if not self.path.exists():
            return []
        with self._transaction("DEFERRED") as connection:
            found = connection.execute(SELECT).fetchall() if self._begun(connection) else []
        try:
            return [_row(each) for each in found]
        except Rejected as error:
            raise TitoError(
                f"The leaderboard {self.path} was changed by something else than tt-tito: {error} "
                "Take a copy of before, or begin another file with --file."
            ) from error

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        """Do all of the block or nothing; ``IMMEDIATE`` waits here until no one else writes."""
        try:
            connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"BEGIN {kind}")
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # rolls back what was not committed
        except (sqlite3.Error, OSError) as error:
            raise TitoError(f"The leaderboard {self.path} cannot be used: {error}.") from error

    def _begun(self, connection: sqlite3.Connection) -> bool:
        """Whether the table is there; not yet in a file whose first result is still to come.

        Raises:
            TitoError: The file is another program's, or another version's.
        """
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if version == VERSION or not (version or tables):
            return bool(tables)
        raise TitoError(
            f"{self.path} is no leaderboard of this version of tt-tito, and stays as it is. Begin "
            "another file, with --file or by giving this one another name, and add the submissions "
            "to it."
        )


def _json(kind: Kind) -> Kind:
    """A text of JSON for what ``kind`` is."""
    return lambda value, where: kind(parse_json(str(value).encode(), where), where)


def _time(value: object, where: str) -> str:
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise Rejected(f"{where}: expected a time, got {show(value)}.") from None


COLUMNS: Mapping[str, Kind] = {
    "place": integer(1, MAX_INT),
    "task": text(80),
    "event": one_of(EVENTS),
    "division": one_of(DIVISIONS),
    "reference_sha256": sha256,
    "data_sha256": sha256,
    "name": NAME,
    "ratio": number(0),
    "low": number(0),
    "high": number(0),
    "figures": _json(parse_figures),
    "configuration": _json(Configuration.parse),
    "environment": _json(parse_environment),
    "verified_at": _time,
}


def _row(values: Sequence[object]) -> Row:
    """Make a row of what `SELECT` finds.

    Raises:
        Rejected: Something in it is not what `Leaderboard.keep` writes.
    """
    found = fields(dict(zip(COLUMNS, values, strict=True)), "a result", COLUMNS, {})
    if not {"accuracy", "loss"} & found["figures"].keys():
        raise Rejected("a result: figures: there is neither accuracy nor loss.")
    low, ratio, high = (found.pop(name) for name in ("low", "ratio", "high"))
    found["configuration"] = found["configuration"].as_json()
    return Row(**found, score=Figure(1.0, ratio, ratio, low, high))
