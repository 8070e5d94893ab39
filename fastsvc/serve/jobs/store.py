"""All jobs in SQLite, so that accepted ones survive the server. Used by the event loop's thread alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from fastsvc.errors import OutputError
from fastsvc.serve.jobs.job import QUEUED, RUNNING, Job

FILE = "jobs.db"
# Each brings a database from its place in this list to the next version (PRAGMA user_version).
MIGRATIONS = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        batch TEXT NOT NULL,
        state TEXT NOT NULL,
        finished REAL,
        bytes INTEGER NOT NULL,
        job TEXT NOT NULL
    );
    CREATE INDEX jobs_by_batch ON jobs (batch);
    CREATE INDEX jobs_by_state ON jobs (state, finished);
    """,
)


class Store:
    """Raises OutputError where the file is not ours, or of a newer version; sqlite3's errors from a full disk on."""

    def __init__(self, home: Path):
        path = home / FILE
        try:
            self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = NORMAL")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            raise OutputError(f"{path}: the list of jobs cannot be used: {error}", "move it elsewhere") from None

    def _migrate(self, path: Path) -> None:
        (version,) = self.database.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise OutputError(
                f"{path} was written by a newer fastsvc", "use that version, or another folder with --home"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self.database.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    def add(self, jobs: Sequence[Job]) -> None:
        """Keep new jobs, all or none."""
        rows = [_row(job) for job in jobs]
        self.database.execute("BEGIN IMMEDIATE")
        try:
            self.database.executemany(
                "INSERT INTO jobs (id, batch, state, finished, bytes, job)"
                " VALUES (:id, :batch, :state, :finished, :bytes, :job)",
                rows,
            )
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK") if self.database.in_transaction else None
            raise

    def save(self, job: Job) -> None:
        self.database.execute(
            "UPDATE jobs SET state = :state, finished = :finished, bytes = :bytes, job = :job WHERE id = :id", _row(job)
        )

    def remove(self, id: str) -> None:
        self.database.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def get(self, id: str) -> Job | None:
        return next(iter(self._jobs("SELECT job FROM jobs WHERE id = ?", id)), None)

    def batch(self, batch: str) -> list[Job]:
        """The jobs of one request, in their order."""
        return self._jobs("SELECT job FROM jobs WHERE batch = ? ORDER BY number", batch)

    def unfinished(self) -> list[Job]:
        """Jobs that wait or were in work, in the order of their acceptance."""
        return self._jobs("SELECT job FROM jobs WHERE state IN (?, ?) ORDER BY number", QUEUED, RUNNING)

    def ids(self) -> set[str]:
        return {id for (id,) in self.database.execute("SELECT id FROM jobs")}

    def finished(self) -> list[tuple[str, float, int]]:
        """(id, when it ended, bytes) of all that are over, the oldest first."""
        return list(
            self.database.execute(
                "SELECT id, COALESCE(finished, 0), bytes FROM jobs WHERE state NOT IN (?, ?) ORDER BY finished",
                (QUEUED, RUNNING),
            )
        )

    def _jobs(self, query: str, *values: str) -> list[Job]:
        return [Job.from_json(text) for (text,) in self.database.execute(query, values)]

    def close(self) -> None:
        self.database.close()


def _row(job: Job) -> dict:
    return {
        "id": job.id,
        "batch": job.batch,
        "state": job.state,
        "finished": job.finished,
        "bytes": job.bytes,
        "job": job.to_json(),
    }
