"""Archives of a PostgreSQL database, written and put back by PostgreSQL's own programs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.backups.contents import CREDENTIALS
from webapp.backups.exceptions import CannotCopy, DatabaseInUse, UnusableBackup
from webapp.backups.postgresql_programs import (
    LOCK_MILLISECONDS,
    Programs,
    environment_of,
    find_programs,
    last_words,
    place_of,
    run_program,
)
from webapp.database import Database
from webapp.engines import APPLICATION

# A connection that was closed a moment ago is still listed until its process has ended.
ENDING_SECONDS = 3.0

# Another user owns the restored tables, under another name perhaps, and comments on extensions belong to superusers.
PLAIN = ("--no-owner", "--no-privileges", "--no-comments", "--no-publications", "--no-subscriptions")

# Everything of ours, whatever its version: a table that only a newer version has would be in the way of its migration.
# Extensions stay, because they may belong to a superuser.
EMPTY = """
DO $$ DECLARE line record; BEGIN
    FOR line IN
        SELECT 1 AS place, format('DROP TABLE IF EXISTS %s CASCADE', oid::regclass) AS words FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        UNION ALL SELECT 2, format('DROP SEQUENCE IF EXISTS %s CASCADE', oid::regclass) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
        UNION ALL SELECT 3, format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc AS p
            WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
        UNION ALL SELECT 4, format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype) FROM pg_type AS t
            WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
            AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = t.oid AND d.deptype = 'e')
        ORDER BY 1
    LOOP EXECUTE line.words; END LOOP;
END $$;
"""
THE_END = """
SELECT pg_catalog.set_config('search_path', 'public', false);
DO $$ DECLARE name text; BEGIN
    FOREACH name IN ARRAY ARRAY[NAMES] LOOP
        IF to_regclass('public.' || name) IS NOT NULL THEN EXECUTE 'DELETE FROM public.' || name; END IF;
    END LOOP;
END $$;
COMMIT;
""".replace("NAMES", ", ".join(f"'{name}'" for name in CREDENTIALS))


def server_major(session: Session) -> int:
    """The server's major version."""
    return int(session.execute(sa.text("SHOW server_version_num")).scalar_one()) // 10_000


def dump(database: Database, session: Session, draft: Path) -> None:
    """Write an archive of this session's snapshot into an empty file; then read all of it once.

    Raises:
        CannotCopy: a program is missing, the disk is full, or the database refuses.
    """
    programs = find_programs(server_major(session))
    snapshot = session.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
    words = programs.command(
        "pg_dump",
        "--format=custom",
        *PLAIN,
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_MILLISECONDS}",
        f"--file={draft}",
        f"--dbname={place_of(database)}",
    )
    done = run_program(words, database)
    if done.returncode:
        raise CannotCopy(f"The database cannot be copied: {last_words(done.stderr)}.")
    read_through(programs, draft)


def read_through(programs: Programs, file: Path) -> None:
    """Read an archive to its end, as a restore does.

    Raises:
        UnusableBackup: it is damaged, cut off, or of a newer PostgreSQL.
    """
    done = run_program(programs.command("pg_restore", "--file=-", str(file)), output=subprocess.DEVNULL)
    if done.returncode:
        raise UnusableBackup(f"{file} cannot be read: {last_words(done.stderr)}.")


def revision_in(programs: Programs, file: Path) -> str | None:
    """The schema revision of the data in an archive; None if it is not of Docket."""
    words = programs.command("pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file))
    found = re.search(r"^COPY [^\n]*alembic_version [^\n]*\n(\w+)\n", run_program(words).stdout.decode(), re.MULTILINE)
    return found[1] if found else None


def require_no_connections(session: Session) -> None:
    """Check that no process of Docket is connected.

    Raises:
        DatabaseInUse: one is. Other programs, such as a monitor, may be connected, because the restore is one
            transaction.
    """
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name = :name"
    )
    end = time.monotonic() + ENDING_SECONDS
    while others := session.execute(query, {"name": APPLICATION}).scalar_one():
        if time.monotonic() >= end:
            raise DatabaseInUse(
                f"Docket is connected to this database ({others} connections). Stop `docket serve` and `docket worker` "
                "first, on every machine."
            )
        time.sleep(0.05)
        # Within a transaction PostgreSQL keeps the list that it has read once.
        session.execute(sa.text("SELECT pg_stat_clear_snapshot()"))


def restore(database: Database, programs: Programs, file: Path) -> None:
    """Replace everything in the database by an archive, in one transaction.

    COMMIT is sent only after the archive was read to its end without an error.

    Raises:
        CannotCopy: the database refuses; it is unchanged.
    """
    psql = programs.command(
        "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-",
        f"--dbname={place_of(database)}",
    )  # fmt: skip
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(  # noqa: S603 - the words are ours.
            psql, env=environment_of(database), stdin=subprocess.PIPE, stderr=complaints
        ) as target:
            assert target.stdin is not None  # noqa: S101 - it is a pipe.
            unread = ""
            try:
                target.stdin.write(f"BEGIN;\n{EMPTY}".encode())
                target.stdin.flush()
                unread = _send_sql(programs, file, target)
                if not unread:
                    target.stdin.write(THE_END.encode())
                target.stdin.close()
            except BrokenPipeError:
                # It has stopped at an error, and says which.
                with suppress(BrokenPipeError):
                    target.stdin.close()
        complaints.seek(0)
        if unread:
            raise CannotCopy(f"Nothing was changed: {unread}.")
        if target.returncode:
            raise CannotCopy(f"Nothing was changed: {last_words(complaints.read())}.")


def _for_any_version(archive: IO[bytes]) -> Iterator[bytes]:
    """The settings at the head of an archive's SQL, so that servers older than the programs accept them, too."""
    for line in archive:
        if line.startswith(b"SET transaction_timeout"):
            # A parameter since PostgreSQL 17. This sets it where it exists.
            yield b"SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout';\n"
            continue
        yield line
        if b"search_path" in line:
            return


def _send_sql(programs: Programs, file: Path, target: subprocess.Popen[bytes]) -> str:
    """Send the archive as SQL. Returns why it could not be read; empty if it was read to its end."""
    words = programs.command("pg_restore", *PLAIN, "--file=-", str(file))
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=complaints) as source:  # noqa: S603
            assert source.stdout is not None  # noqa: S101 - both are pipes.
            assert target.stdin is not None  # noqa: S101
            try:
                target.stdin.writelines(_for_any_version(source.stdout))
                shutil.copyfileobj(source.stdout, target.stdin)
            finally:
                source.stdout.close()
        complaints.seek(0)
        return last_words(complaints.read()) if source.returncode else ""
