"""`docket backup` and `docket restore`: nothing acknowledged is missing, and nothing is replaced unseen."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import NOW, Cast
from tests.postgres import candidates, new_database
from tests.processes import PATIENCE
from webapp.auth.models import PasswordLink, UserSession
from webapp.backups import postgresql_dumps, postgresql_programs
from webapp.backups.exceptions import CannotCopy, DatabaseInUse, DatabaseNotEmpty, UnusableBackup
from webapp.backups.files import kind_of, put_in_place
from webapp.backups.postgresql_programs import find_programs
from webapp.backups.reports import backup_report, restore_report
from webapp.backups.service import make_backup, restore_backup
from webapp.database import Database
from webapp.engines import sqlite_file
from webapp.event_handlers import wired_database
from webapp.integrity.problems import find_problems
from webapp.migrations import downgrade, newest_revision, upgrade
from webapp.models import AuditEvent, OutboxMessage, Patient

Open = Callable[[str], Database]


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs come from where the tests' server comes from, unless PATH has newer ones."""
    folders = [str(each.folder) for each in candidates() if (each.folder / "pg_dump").exists()]
    folders.sort(key=lambda folder: "embedded" in folder, reverse=True)
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))


@pytest.fixture
def elsewhere(cast: Cast, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a second database of the same kind, without tables."""
    if cast.database.is_sqlite:
        yield f"sqlite:///{tmp_path}/second/docket.db"
        return
    with new_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
def opened() -> Iterator[Open]:
    """A function that opens a database; all are closed at the end."""
    databases: list[Database] = []

    def open_it(url: str) -> Database:
        databases.append(wired_database(url))
        return databases[-1]

    yield open_it
    for database in databases:
        database.dispose()


def names_of(database: Database) -> set[str]:
    """The names of all patients."""
    with database.reading() as session:
        return set(session.scalars(sa.select(Patient.name)))


def count(database: Database, table: str) -> int:
    """How many rows a table has."""
    with database.reading() as session:
        return int(session.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


# --------------------------------------------------------------------------------------------- there and back


def test_a_backup_comes_back_in_another_database(cast: Cast, elsewhere: str, tmp_path: Path, opened: Open) -> None:
    put(cast, "2026-03-09 09:00")
    file = tmp_path / "nightly.backup"
    made = make_backup(cast.database, file, force=False, now=NOW)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["nightly.backup"]
    assert (made.problems, made.contents.counts["appointments"]) == ([], 1)

    second = opened(elsewhere)
    back = restore_backup(second, file, replace=False, now=NOW)
    assert (back.contents, back.problems) == (made.contents, [])
    assert list(find_problems(second, now=NOW)) == []
    assert names_of(second) == names_of(cast.database)
    with second.reading() as session:
        assert session.scalars(sa.select(AuditEvent.action)).all()[-1] == "backup_restored"
    said, warnings = backup_report(made, file)
    assert "does not hold the secret key" in said[-1]
    assert "Appointments: 1 (the newest was booked at 2026-03-02 07:00 UTC)." in said[2]
    assert (restore_report(back, file)[0][1:3], warnings) == (said[1:3], [])


def test_everything_acknowledged_before_its_start_is_in_a_backup(
    cast: Cast, elsewhere: str, tmp_path: Path, opened: Open
) -> None:
    """Three writers go on meanwhile; bench.backups does the same for longer, at a hundred writes a second."""
    acknowledged: list[str] = []
    enough, stop = threading.Event(), threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            name = f"Patient {number} {len(acknowledged)} {threading.get_ident()}"
            cast.add(Patient(name=name, created_at=NOW))
            acknowledged.append(name)
            if len(acknowledged) >= 15:
                enough.set()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        assert enough.wait(PATIENCE)
        before = set(acknowledged)
        made = make_backup(cast.database, tmp_path / "copy", force=False, now=NOW)
    finally:
        # Also when the test fails: otherwise they would write into the database of the next test.
        stop.set()
        for writer in writers:
            writer.join()
    second = opened(elsewhere)
    restore_backup(second, tmp_path / "copy", replace=False, now=NOW)
    found = names_of(second)
    assert before <= found
    # It is one moment: the numbers that were said are those of the copy.
    assert len(found) == made.contents.counts["patients"]
    assert list(find_problems(second, now=NOW)) == []


def test_a_restore_ends_sessions_links_and_codes_and_names_messages_that_go_again(
    cast: Cast, elsewhere: str, tmp_path: Path, opened: Open
) -> None:
    leave_traces(cast)
    assert (count(cast.database, "sessions"), count(cast.database, "password_links")) == (1, 1)
    make_backup(cast.database, tmp_path / "copy", force=False, now=NOW)
    second = opened(elsewhere)
    back = restore_backup(second, tmp_path / "copy", replace=False, now=NOW)
    assert [count(second, name) for name in ("sessions", "refresh_tokens", "password_links", "sign_in_codes")] == [
        0
    ] * 4
    said, warnings = restore_report(back, tmp_path / "copy")
    assert "Everyone has to sign in again." in said
    assert warnings[0].startswith("1 messages wait in it.")


def test_problems_of_the_data_are_reported_and_do_not_prevent_a_copy(cast: Cast, tmp_path: Path) -> None:
    """A message that should have gone out long ago: after a restore that is what the worker has to do."""
    leave_traces(cast, at=NOW - timedelta(days=2))
    made = make_backup(cast.database, tmp_path / "copy", force=False, now=NOW)
    (problem,) = made.problems
    assert "has not been delivered" in problem
    assert backup_report(made, tmp_path / "copy")[1] == [problem]


def leave_traces(cast: Cast, *, at: datetime = NOW) -> None:
    """A session, a link for a password, and a message that waits to be sent."""
    user, later = cast.alice.user_id, NOW + timedelta(days=1)
    cast.add(UserSession(user_id=user, id_hash="1" * 64, created_at=at, last_seen_at=at, expires_at=later))
    cast.add(PasswordLink(user_id=user, token_hash="1" * 64, created_at=at, expires_at=later))
    cast.add(OutboxMessage(
        dedupe_key="one", message_id="one", channel="email", recipient="alice@example.org", template="reset", values={},
        subject_type="user", subject_id=user, due_at=at, expires_at=later, created_at=at,
    ))  # fmt: skip


# ------------------------------------------------------------------------------------------ what is not replaced


def test_a_file_is_not_overwritten_unless_it_is_forced(cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    file.write_text("precious")
    with pytest.raises(FileExistsError, match="--force"):
        make_backup(cast.database, file, force=False, now=NOW)
    assert file.read_text() == "precious"
    draft = tmp_path / "draft"
    draft.write_text("new")
    # Another process may have been faster, after the first look.
    with pytest.raises(FileExistsError):
        put_in_place(draft, file, replace=False)
    assert file.read_text() == "precious"
    make_backup(cast.database, file, force=True, now=NOW)
    assert kind_of(file) in {"sqlite", "postgresql"}


def test_data_is_replaced_only_if_asked_for_while_docket_is_stopped_and_then_completely(
    cast: Cast, elsewhere: str, tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that only a newer version has must not stay, or its migration would fail."""
    file = tmp_path / "copy"
    make_backup(cast.database, file, force=False, now=NOW)
    second, server = opened(elsewhere), opened(elsewhere)
    restore_backup(second, file, replace=False, now=NOW)
    second.write(lambda session: session.add(Patient(name="Later Lee", created_at=NOW)))
    second.write(lambda session: session.execute(sa.text("CREATE TABLE of_a_newer_version (id INTEGER)")))
    second.dispose()
    with pytest.raises(DatabaseNotEmpty, match=r"Patients: 3, .* add --replace"):
        restore_backup(second, file, replace=False, now=NOW)
    second.dispose()
    # A server keeps its connections between two requests.
    assert "Later Lee" in names_of(server)
    with monkeypatch.context() as patch:
        patch.setattr(postgresql_dumps, "ENDING_SECONDS", 0)
        with pytest.raises(DatabaseInUse, match="Stop `docket serve`"):
            restore_backup(second, file, replace=True, now=NOW)
    # PostgreSQL lists the connection for a moment after it is closed.
    server.dispose()
    path = sqlite_file(elsewhere)
    before = path.stat().st_ino if path else 0
    restore_backup(second, file, replace=True, now=NOW)
    # The file stays the same one: a process that opened it too early must not go on writing into one without a name.
    assert (path.stat().st_ino if path else 0) == before
    assert names_of(second) == names_of(cast.database)
    with second.reading() as session:
        assert not sa.inspect(session.connection()).has_table("of_a_newer_version")


def test_a_file_that_cannot_be_used_changes_nothing(cast: Cast, elsewhere: str, tmp_path: Path, opened: Open) -> None:
    file = tmp_path / "copy"
    make_backup(cast.database, file, force=False, now=NOW)
    second = opened(elsewhere)
    restore_backup(second, file, replace=False, now=NOW)
    second.write(lambda session: session.add(Patient(name="Later Lee", created_at=NOW)))
    second.dispose()
    whole = file.read_bytes()
    middle = len(whole) // 2
    for harmed, said in {
        whole[:middle]: "damaged|cannot be read",
        whole[:middle] + b"\xff" * 6000 + whole[middle + 6000 :]: "damaged|cannot be read",
        (b"PGDMP" if cast.database.is_sqlite else b"SQLite format 3\0") + whole: "database of the same kind",
        b"age-encryption.org/v1\n" + whole: "Decrypt it first",
        b"": "is empty",
        b"Dear operator": "is not a backup",
    }.items():
        file.write_bytes(harmed)
        with pytest.raises(UnusableBackup, match=said):
            restore_backup(second, file, replace=True, now=NOW)
    assert "Later Lee" in names_of(second)


def test_a_backup_of_a_newer_version_is_refused(cast: Cast, elsewhere: str, tmp_path: Path, opened: Open) -> None:
    file = tmp_path / "copy"
    cast.database.write(lambda session: session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    make_backup(cast.database, file, force=False, now=NOW)
    cast.database.write(
        lambda session: session.execute(
            sa.text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest_revision()}
        )
    )
    with pytest.raises(UnusableBackup, match="newer version"):
        restore_backup(opened(elsewhere), file, replace=False, now=NOW)


def test_a_backup_of_an_older_version_says_that_it_has_to_be_upgraded(
    cast: Cast, elsewhere: str, tmp_path: Path, opened: Open
) -> None:
    first, second = opened(elsewhere), opened(elsewhere)
    make_backup(cast.database, tmp_path / "new", force=False, now=NOW)
    restore_backup(first, tmp_path / "new", replace=False, now=NOW)
    downgrade(first, f"{int(newest_revision()) - 1:04}")
    make_backup(first, tmp_path / "old", force=False, now=NOW)
    first.dispose()
    back = restore_backup(second, tmp_path / "old", replace=True, now=NOW)
    assert "run `docket db upgrade`, then `docket check`" in restore_report(back, tmp_path / "old")[0][-1]
    upgrade(second)
    assert list(find_problems(second, now=NOW)) == []


# --------------------------------------------------------------------------------------------------- SQLite alone


def test_a_damaged_database_is_set_aside(sqlite_cast: Cast, tmp_path: Path, opened: Open) -> None:
    file, broken = tmp_path / "copy", tmp_path / "docket.db"
    make_backup(sqlite_cast.database, file, force=False, now=NOW)
    broken.write_bytes(b"not a database at all" * 500)
    database = opened(f"sqlite:///{broken}")
    with pytest.raises(DatabaseNotEmpty, match="is damaged"):
        restore_backup(database, file, replace=False, now=NOW)
    back = restore_backup(database, file, replace=True, now=NOW)
    assert back.aside is not None
    assert back.aside.read_bytes().startswith(b"not a database")
    assert names_of(database) == names_of(sqlite_cast.database)
    assert stat.S_IMODE(broken.stat().st_mode) == 0o600


def test_a_copy_holds_no_deleted_rows_and_is_one_file(sqlite_cast: Cast, tmp_path: Path) -> None:
    database, file = sqlite_cast.database, tmp_path / "copy"
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
    number = sqlite_cast.add(Patient(name="Gone Gertrude", created_at=NOW))
    sqlite_cast.change(sa.delete(Patient).where(Patient.id == number))
    make_backup(database, file, force=False, now=NOW)
    assert b"Gone Gertrude" not in file.read_bytes()
    # It is not in WAL mode, so that it can be read from a read-only disk.
    assert file.read_bytes()[18:20] == b"\x01\x01"


# ----------------------------------------------------------------------------------------------- PostgreSQL alone


def test_the_password_is_in_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    database = wired_database("postgresql+psycopg://clinic:pass%20word@db.example.org:5433/docket?sslmode=require")
    place = postgresql_programs.place_of(database)
    assert "pass" not in place
    assert place == "host=db.example.org dbname=docket user=clinic port=5433 sslmode=require"
    assert postgresql_programs.environment_of(database)["PGPASSWORD"] == "pass word"


def test_missing_or_old_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql_programs, "FOLDERS", ())
    with pytest.raises(CannotCopy, match=r"pg_dump, pg_restore, psql are missing .* postgresql-client-17"):
        find_programs(17)
    for name in postgresql_programs.NAMES:
        (tmp_path / name).write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian)'\n")
        (tmp_path / name).chmod(0o700)
    assert find_programs(15).folder == tmp_path
    with pytest.raises(CannotCopy, match=r"The server is PostgreSQL 17, but .* version 15"):
        find_programs(17)


def test_an_error_in_the_middle_undoes_everything(
    postgresql_url: str, postgres_url: str, tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that ends too early would else be taken for a whole one: SQL has no last line."""
    first = opened(postgresql_url)
    make_backup(first, tmp_path / "copy", force=False, now=NOW)
    with new_database(postgres_url) as url:
        second = opened(url)
        restore_backup(second, tmp_path / "copy", replace=False, now=NOW)
        second.write(lambda session: session.add(Patient(name="Later Lee", created_at=NOW)))
        second.dispose()
        with second.reading() as session:
            programs = find_programs(postgresql_dumps.server_major(session))
        second.dispose()
        whole = (tmp_path / "copy").read_bytes()
        (tmp_path / "cut").write_bytes(whole[: len(whole) * 9 // 10])
        with pytest.raises(CannotCopy, match="Nothing was changed"):
            postgresql_dumps.restore(second, programs, tmp_path / "cut")
        # Or the database refuses: here because something that is not ours has one of our names.
        second.write(lambda session: session.execute(sa.text("DROP TABLE heartbeats")))
        second.write(lambda session: session.execute(sa.text("CREATE VIEW heartbeats AS SELECT 1")))
        second.dispose()
        with pytest.raises(CannotCopy, match=r"Nothing was changed: .*heartbeats"):
            postgresql_dumps.restore(second, programs, tmp_path / "copy")
        assert names_of(second) == {"Later Lee"}
        second.dispose()
