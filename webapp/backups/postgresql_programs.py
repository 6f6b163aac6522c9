"""PostgreSQL's own programs `pg_dump`, `pg_restore` and `psql`: finding them, and running them on our database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from psycopg.conninfo import make_conninfo

from webapp.backups.exceptions import CannotCopy
from webapp.database import Database

NAMES = ("pg_dump", "pg_restore", "psql")
# The usual folders; Debian's `pg_dump` is a script that may choose an older version than the newest one installed.
FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "opt/homebrew/opt/libpq/bin",
)
LOCK_MILLISECONDS = 5000


class Programs(NamedTuple):
    """A folder with the three programs, and their major version."""

    folder: Path
    major: int

    def command(self, name: str, *arguments: str) -> list[str]:
        """The words that run one of them."""
        return [str(self.folder / name), *arguments]


def find_programs(server: int) -> Programs:
    """Programs that understand a server of this major version.

    Raises:
        CannotCopy: none are installed; the message says what to install.
    """
    found = list(_installed())
    # Programs of the server's own version come first, because newer ones write statements that it does not know.
    fitting = min((each for each in found if each.major >= server), key=lambda each: each.major, default=None)
    if fitting:
        return fitting
    advice = f"On Debian and Ubuntu: apt-get install postgresql-client-{server}"
    if found:
        newest = max(each.major for each in found)
        raise CannotCopy(
            f"The server is PostgreSQL {server}, but pg_dump and pg_restore on this machine are of version {newest}, "
            f"which cannot read it. Install those of version {server}. {advice}"
        )
    raise CannotCopy(
        f"PostgreSQL's own programs {', '.join(NAMES)} are missing on this machine. Install those of version {server}, "
        f"or put their folder into PATH. {advice}"
    )


def _installed() -> Iterator[Programs]:
    """All complete sets of programs: the one in PATH first, then from the newest to the oldest."""
    in_path = shutil.which("pg_dump")
    folders = [Path(in_path).parent] if in_path else []
    others = [folder for pattern in FOLDERS for folder in Path("/").glob(pattern)]
    folders += sorted(others, key=lambda folder: [int(each) for each in re.findall(r"\d+", str(folder))], reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in NAMES) and (major := _major_of(folder)):
            yield Programs(folder, major)


def _major_of(folder: Path) -> int | None:
    said = subprocess.run([str(folder / "pg_dump"), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    return int(version[1]) if version else None


def place_of(database: Database) -> str:
    """The database in the words of PostgreSQL's own library, without the password."""
    _none, parts = database.engine.dialect.create_connect_args(database.url)
    # The second is an object of the driver.
    return make_conninfo("", **{name: value for name, value in parts.items() if name not in {"password", "context"}})


def environment_of(database: Database) -> dict[str, str]:
    """The environment of the programs. It holds the password, because all users of a machine can read the arguments of
    a command.
    """
    own = {
        **os.environ,
        "PGOPTIONS": f"-c lock_timeout={LOCK_MILLISECONDS} -c timezone=UTC",
        "PGAPPNAME": "docket-backup",
    }
    if database.url.password is not None:
        own["PGPASSWORD"] = str(database.url.password)
    return own


def run_program(
    words: Sequence[str], database: Database | None = None, *, output: int | IO[bytes] = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run one of the programs to its end. Only the owner may read the files that it creates."""
    return subprocess.run(  # noqa: S603 - the words are ours.
        words,
        env=environment_of(database) if database else None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        umask=0o077,
        check=False,
    )


def last_words(said: bytes) -> str:
    """The error message of a program in one line."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "FATAL" in line]
    return (errors or lines or ["it gives no reason"])[0].rstrip(".")
