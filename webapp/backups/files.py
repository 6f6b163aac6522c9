"""Files that only their owner may read, and that exist completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from webapp.backups.exceptions import UnusableBackup

DatabaseKind = Literal["sqlite", "postgresql"]
BEGINNINGS: dict[bytes, DatabaseKind] = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}
# Programs with which operators encrypt backups: see docs/deployment.md.
ENCRYPTED = (b"age-encryption.org/", b"-----BEGIN AGE", b"-----BEGIN PGP", b"\x8c\x0d", b"\x85")
TITLES: dict[DatabaseKind, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def kind_of(file: Path) -> DatabaseKind:
    """Which kind of database a file is a backup of.

    Raises:
        UnusableBackup: it is no backup.
    """
    with file.open("rb") as opened:
        beginning = opened.read(32)
    for mark, kind in BEGINNINGS.items():
        if beginning.startswith(mark):
            return kind
    if beginning.startswith(ENCRYPTED):
        raise UnusableBackup(f"{file} is encrypted. Decrypt it first, then restore what comes out.")
    if not beginning:
        raise UnusableBackup(f"{file} is empty.")
    raise UnusableBackup(f"{file} is not a backup: it is neither an SQLite database nor an archive of pg_dump.")


@contextmanager
def workspace(beside: Path) -> Iterator[Path]:
    """A private folder on the disk of `beside`, which is removed with everything in it."""
    folder = Path(tempfile.mkdtemp(prefix=".docket-backup-", dir=beside.absolute().parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def private_file(path: Path) -> Path:
    """Make an empty file that only its owner may read. Programs that write into it leave it so."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def put_in_place(draft: Path, file: Path, *, replace: bool) -> None:
    """Give a complete file its name. When this returns, a power failure loses neither.

    Raises:
        FileExistsError: there is such a file, and it must not be replaced.
    """
    _sync(draft)
    if replace:
        draft.replace(file)
    else:
        _name_once(draft, file)
    _sync(file.absolute().parent)


def _name_once(draft: Path, file: Path) -> None:
    """A link is refused if the name is taken, even if it was free a moment ago. Some file systems have no links."""
    try:
        os.link(draft, file)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        draft.replace(file)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
