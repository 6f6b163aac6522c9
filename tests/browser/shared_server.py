"""One Docket that the browser tests of a worker use in turn: a server takes 1.5 s of work to start and to get going.

Each file of tests begins with another content of its database, as if the server were its own.
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

    def begin_with(self, template: Path) -> None:
        """Put the content of this file in the place of what the database has.

        No id is given out twice: the server may remember what the rows of an earlier test had.
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
