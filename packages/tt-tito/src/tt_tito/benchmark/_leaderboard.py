"""The leaderboard: verified results in one SQLite file.

A result is added in one transaction that is taken before anything is read, so that processes add
in turn, and one that is killed leaves nothing half done. The file is kept in SQLite's rollback
mode: between transactions it is one file, which can be copied.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tt_tito._errors import TitoError

from ._figures import Figure
from ._submission import file_sha256
from ._verify import Bench, Verdict, verify

VERSION = 1
WAIT = 60.0  # seconds for others to finish

TABLE = """
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    event TEXT NOT NULL,
    division TEXT NOT NULL,
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
    UNIQUE (task, event, division, name)
)
"""
INSERT = """
INSERT INTO results (task, event, division, name, ratio, low, high, figures, configuration,
    environment, model_sha256, weights_sha256, verified_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, event, division, name) DO UPDATE SET
    ratio = excluded.ratio, low = excluded.low, high = excluded.high,
    figures = excluded.figures, configuration = excluded.configuration,
    environment = excluded.environment, model_sha256 = excluded.model_sha256,
    weights_sha256 = excluded.weights_sha256, verified_at = excluded.verified_at
"""
SELECT = """
SELECT task, event, division, name, ratio, low, high, figures, configuration, environment,
    verified_at,
    RANK() OVER (PARTITION BY task, event, division ORDER BY ratio DESC) AS place
FROM results ORDER BY task, event, division, place, name
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A verified result.

    Attributes:
        place: Its rank among those of its task, event and division.
        task: The task.
        event: The event.
        division: The division.
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
    name: str
    score: Figure
    figures: dict[str, Figure]
    configuration: dict[str, Any]
    environment: dict[str, Any]
    verified_at: str


class Leaderboard:
    """Verified results in one file.

    Args:
        path: The file, made when something is first added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, folder: Path, bench: Bench) -> Verdict:
        """Verify a submission, and keep the result if it is accepted.

        A later result of the same name in the same task, event and division takes the place of
        the one before.

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

    def keep(self, verdict: Verdict) -> None:
        """Keep what verification found.

        Raises:
            ValueError: The verdict rejects the submission: that does not rank.
            TitoError: The file cannot be written, or is none of ours.
        """
        score, submission = verdict.score, verdict.submission
        assert submission is not None  # as it has a score
        figures = {name: figure.as_json() for name, figure in submission.figures.items()}
        values = (
            submission.task,
            submission.event,
            submission.division,
            submission.name,
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
            connection.execute(INSERT, values)

    def rows(self) -> list[Row]:
        """Return all results, the best of each task, event and division first.

        Raises:
            TitoError: The file cannot be read, or is none of ours.
        """
        if not self.path.exists():
            return []
        with self._transaction("DEFERRED") as connection:
            found = connection.execute(SELECT).fetchall()
        return [_row(*each) for each in found]

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        """Do all of the block or nothing; ``IMMEDIATE`` waits here until no one else writes."""
        try:
            connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"BEGIN {kind}")
                self._prepare(connection, kind)
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # rolls back what was not committed
        except (sqlite3.Error, OSError) as error:
            raise TitoError(f"The leaderboard {self.path} cannot be used: {error}.") from error

    def _prepare(self, connection: sqlite3.Connection, kind: str) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if version == VERSION:
            return
        if tables or kind != "IMMEDIATE":
            raise TitoError(f"{self.path} is no leaderboard of this version of tt-tito.")
        connection.execute(TABLE)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _row(
    task: str,
    event: str,
    division: str,
    name: str,
    ratio: float,
    low: float,
    high: float,
    figures: str,
    configuration: str,
    environment: str,
    verified_at: str,
    place: int,
) -> Row:
    measured = {key: Figure(**value) for key, value in json.loads(figures).items()}
    return Row(
        place=place,
        task=task,
        event=event,
        division=division,
        name=name,
        score=Figure(1.0, ratio, ratio, low, high),
        figures=measured,
        configuration=json.loads(configuration),
        environment=json.loads(environment),
        verified_at=verified_at,
    )
