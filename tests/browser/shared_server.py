"""One server for all browser tests of a worker: starting a server for each file would take 1.5 s of CPU time.

Each file of tests replaces the contents of its database first, so that no file sees the data of another.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple


class SharedServer(NamedTuple):
    """A running server, and the SQLite file that it has open."""

    url: str
    path: Path

    @property
    def database_url(self) -> str:
        """The database's URL."""
        return f"sqlite:///{self.path}"

    def fill_from(self, template: Path) -> None:
        """Replace the contents of the database by those of this file.

        No id is used twice, because the server may have cached values of an earlier test's rows.
        """
        with closing(sqlite3.connect(self.path)) as database, closing(sqlite3.connect(template)) as source:
            given = database.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
            source.backup(database)
            known = dict(database.execute("SELECT name, seq FROM sqlite_sequence"))
            for name, last in given:
                change = "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1"
                if name not in known:
                    change = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)"
                database.execute(change, (name, max(last, known.get(name, 0))))
            database.commit()
