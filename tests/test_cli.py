"""The `docket` command as an operator uses it: its output and its exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import time_machine

from tests.appointment_rows import put, take_guard_away
from tests.cast import NOW, Cast, assemble, client_for
from tests.servers import SECRET_KEY, docket_environment
from webapp import cli
from webapp.accounts import create_account
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Role
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError, Conflict, Invalid, NotFound
from webapp.migrations import newest_revision
from webapp.models import AuditEvent, AuthenticatorApp, ClinicSettings, Doctor, OpeningHours, Patient, User

GOOD = "three unrelated garden words"


class CommandResult(NamedTuple):
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., CommandResult]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `docket …` in this process, in its own folder, on Monday 2 March 2026."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, url: str, typed: str = "", now: datetime = NOW) -> CommandResult:
        monkeypatch.setenv("DOCKET_DATABASE_URL", url)
        monkeypatch.setattr("sys.argv", ["docket", *words])
        monkeypatch.setattr("sys.stdin", StringIO(typed))
        capsys.readouterr()
        with time_machine.travel(now, tick=False), pytest.raises(SystemExit) as ending:
            cli.main()
        said = capsys.readouterr()
        code = ending.value.code
        return CommandResult(code if isinstance(code, int) else 0, said.out, said.err)

    return run


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """The URL of a database that does not exist yet."""
    return f"sqlite:///{tmp_path}/new/docket.db"


@pytest.fixture
def clinic(sqlite_url: str) -> Iterator[Cast]:
    """The cast on SQLite."""
    database = wired_database(sqlite_url)
    yield assemble(database)
    database.dispose()


# ------------------------------------------------------------------------------------------------------ help


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("db",),
        ("user",),
        ("serve",),
        ("demo",),
        ("check",),
        ("why",),
        ("backup",),
        ("restore",),
        ("worker",),
        ("user", "create"),
        ("user", "list"),
        ("user", "disable"),
        ("user", "enable"),
        ("user", "password-link"),
        ("user", "reset-factor"),
        ("db", "upgrade"),
    ],
)
def test_every_command_explains_itself(run: Run, empty: str, words: tuple[str, ...]) -> None:
    said = run(*words, "--help", url=empty)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Usage: docket")
    assert said.out == run(*words, "-h", url=empty).out


@pytest.mark.parametrize(
    "words", [("nonsense",), ("serve", "--port", "x"), ("why",), ("user", "create"), ("demo", "--doctors", "0")]
)
def test_wrong_usage_exits_with_two_and_names_the_mistake(run: Run, empty: str, words: tuple[str, ...]) -> None:
    said = run(*words, url=empty)
    assert said.code == 2
    assert "Error:" in said.err
    assert "Traceback" not in said.err


def test_wrong_settings_exit_with_two_and_have_the_name_of_their_variable(
    run: Run, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKET_LOG_FORMAT", "xml")
    said = run("check", url=empty)
    assert said.code == 2
    assert "DOCKET_LOG_FORMAT" in said.err


BESIDES_UPGRADE = [
    ("check",),
    ("why", "bob", "2026-03-03T09:30"),
    ("user", "create", "--role=admin", "--email=a@b.example", "--name=Anna", "--password-stdin"),
    ("user", "list"),
    ("user", "disable", "a@b.example"),
    ("demo",),
    ("serve", "--port", "1"),
    ("worker",),
]


@pytest.mark.parametrize("words", BESIDES_UPGRADE, ids=lambda words: " ".join(words[:2]))
def test_without_a_database_nothing_is_created_and_the_place_is_named(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = run(*words, url="sqlite:///var/docket.db", typed=f"{GOOD}\n")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert f"no database at {tmp_path}/var/docket.db" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", BESIDES_UPGRADE[:-2], ids=lambda words: " ".join(words[:2]))
def test_a_database_without_tables_is_reported_in_one_sentence(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "docket.db").touch()
    said = run(*words, url="sqlite:///docket.db", typed=f"{GOOD}\n")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: The database has no tables yet. Run `docket db upgrade` first.\n"


@pytest.mark.parametrize("words", [("db", "upgrade"), *BESIDES_UPGRADE[:-2]], ids=lambda words: " ".join(words[:2]))
def test_a_database_of_a_newer_version_is_left_alone(run: Run, cast: Cast, words: tuple[str, ...]) -> None:
    be_of_a_newer_version(cast.database)
    said = run(*words, url=cast.url, typed=f"{GOOD}\n")
    assert (said.code, said.out) == (1, "")
    assert said.err == f"Error: {NEWER}\n"


NEWER = (
    "The database has schema revision 9042, and this version of Docket knows revisions up to "
    f"{newest_revision()}. A newer version has upgraded it: use that version, or restore a backup from before the "
    "upgrade."
)


def be_of_a_newer_version(database: Database) -> None:
    """Let the database have a revision that does not exist yet."""
    database.write(lambda session: session.execute(sa.text("UPDATE alembic_version SET version_num = '9042'")))


def test_serving_a_database_of_a_newer_version_warns_and_is_not_ready(
    run: Run, cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    be_of_a_newer_version(cast.database)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = run("serve", "--port", str(taken.getsockname()[1]), url=cast.url)
    assert said.err.startswith(f"Warning: {NEWER}\n")
    with client_for(cast.database) as client:
        ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["schema"]) == (503, "newer")
    assert NEWER in capsys.readouterr().err


def test_a_database_that_cannot_be_created_is_reported_in_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run("db", "upgrade", url=f"sqlite:///{tmp_path}/file/docket.db")
    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert str(tmp_path / "file") in said.err


def test_the_command_is_installed_and_returns_its_exit_code(sqlite_url: str, tmp_path: Path) -> None:
    command = str(Path(sys.executable).with_name("docket"))
    done = subprocess.run(
        [command, "why", "nobody", "2026-03-03T09:30"],
        env=docket_environment(sqlite_url),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: Doctor not found.\n"


# ---------------------------------------------------------------------------------------------------------- serve


def test_a_taken_port_and_a_missing_schema_are_reported_in_one_sentence_each(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docket.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("serve", "--port", str(port), url="sqlite:///docket.db")
    assert (said.code, said.out) == (1, "")
    schema, in_use = said.err.splitlines()
    assert "docket db upgrade" in schema
    # Where the system says which process has the port, that is said too.
    assert in_use.startswith(f"Error: Port {port} of 127.0.0.1 cannot be used: Address already in use. ")
    assert in_use.endswith(" Choose another one with --port (make run: PORT=).")


# ----------------------------------------------------------------------------------------------------- db upgrade


def test_upgrading_makes_the_database_and_the_second_time_does_nothing(run: Run, empty: str) -> None:
    assert run("db", "upgrade", url=empty) == (0, "The database is upgraded to the newest schema.\n", "")
    assert run("db", "upgrade", url=empty) == (0, "The database is up to date.\n", "")
    assert run("check", url=empty).code == 0


# ----------------------------------------------------------------------------------------------------------- demo


def test_in_production_demo_data_is_asked_for_twice_and_reported(
    run: Run, clinic: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ENVIRONMENT": "production", "SMTP_URL": "none", "BASE_URL": "http://localhost"}.items():
        monkeypatch.setenv(f"DOCKET_{name}", value)
    monkeypatch.setenv("DOCKET_SECRET_KEY", SECRET_KEY)
    said = run("demo", url=clinic.url)
    assert (said.code, said.out) == (2, "")
    assert "--in-production" in said.err
    clinic.change(sa.update(ClinicSettings).values(demo=True))
    assert "Warning: This is a demo clinic" in run("check", url=clinic.url).err
    monkeypatch.setenv("DOCKET_ENVIRONMENT", "development")
    assert "demo clinic" not in run("check", url=clinic.url).err


def test_demo_data_is_not_mixed_with_other_data(run: Run, clinic: Cast) -> None:
    before = clinic.database.write(lambda session: session.scalar(sa.select(sa.func.count(User.id))))
    said = run("demo", url=clinic.url)
    assert said.code == 1
    assert "Error:" in said.err
    quiet = run("demo", "--if-empty", url=clinic.url)
    assert (quiet.code, "nothing was changed" in quiet.out) == (0, True)
    assert clinic.database.write(lambda session: session.scalar(sa.select(sa.func.count(User.id)))) == before


def test_a_demo_clinic_is_built_around_its_own_today(run: Run, sqlite_url: str) -> None:
    on_sunday_evening = NOW.astimezone(ZoneInfo("Pacific/Pago_Pago"))
    assert run("demo", "--patients=20", "--months=0", url=sqlite_url, now=on_sunday_evening).code == 0
    database = wired_database(sqlite_url)
    with database.reading() as session:
        made = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "demo_made")).one()
    database.dispose()
    assert made.details["today"] == "2026-03-02"


@pytest.mark.parametrize(
    "option", ["--doctors=11", "--doctors=201", "--patients=1", "--months=-1", "--months=241", "--today=yesterday"]
)
def test_demo_data_has_sensible_sizes(run: Run, sqlite_url: str, option: str) -> None:
    assert run("demo", option, url=sqlite_url).code == 2


# ---------------------------------------------------------------------------------------------------- user create


def create(
    run: Run, url: str, *, role: str = "admin", email: str = "anna@clinic.example", typed: str = f"{GOOD}\n"
) -> CommandResult:
    """Create Anna's account."""
    return run(
        "user", "create", "--role", role, "--email", email, "--name", "Anna Admin", "--password-stdin",
        url=url, typed=typed,
    )  # fmt: skip


@pytest.mark.parametrize("role", ["admin", "doctor", "patient"])
def test_an_account_of_any_role_is_made(run: Run, sqlite_url: str, role: str) -> None:
    said = create(run, sqlite_url, role=role, email=" Anna@Clinic.Example")
    assert (said.code, said.err) == (0, "")
    assert f"Created the {role}" in said.out
    database = wired_database(sqlite_url)
    with database.reading() as session:
        user = session.scalars(sa.select(User)).one()
        patients = session.scalar(sa.select(sa.func.count(Patient.id)))
    database.dispose()
    assert (user.email, user.name, user.role, user.active) == ("anna@clinic.example", "Anna Admin", role, True)
    assert passwords.verify(GOOD, user.password_hash)[0]
    assert patients == (1 if role == "patient" else 0)


def test_a_doctors_account_is_made_for_a_doctor(run: Run, sqlite_url: str) -> None:
    database = wired_database(sqlite_url)
    clinic = assemble(database)
    clinic.change(sa.update(Doctor).where(Doctor.slug == "erin").values(user_id=None))
    command = ("user", "create", "--role=doctor", "--email=erin2@clinic.example", "--name=Erin Eze", "--doctor=erin")
    said = run(*command, "--password-stdin", url=sqlite_url, typed=f"{GOOD}\n")
    assert (said.code, said.err) == (0, "")
    with database.reading() as session:
        owner = session.scalar(
            sa.select(User.email).join(Doctor, Doctor.user_id == User.id).where(Doctor.slug == "erin")
        )
    database.dispose()
    assert owner == "erin2@clinic.example"


@pytest.mark.parametrize(("details", "message"), [
    ({"typed": "short\n"}, "at least 12 characters"),
    ({"typed": "password1234\n"}, "people often use for passwords"),
    ({"typed": ""}, "at least 12 characters"),
    ({"email": "anna"}, "email address like"),
])  # fmt: skip
def test_an_invalid_account_is_refused_with_the_reason(
    run: Run, sqlite_url: str, details: dict[str, str], message: str
) -> None:
    said = create(run, sqlite_url, **details)
    assert (said.code, said.out) == (1, "")
    assert message in said.err


def make_doctors_account(clinic: Cast, role: Role = "doctor", doctor: str | None = "erin") -> int:
    """Create an account for the doctor with this slug."""
    return create_account(
        clinic.database,
        role=role,
        email="new@clinic.example",
        name="Erin Eze",
        password=GOOD,
        now=NOW,
        doctor=doctor,
    )


def test_a_doctors_account_is_bound_to_the_doctor(clinic: Cast) -> None:
    clinic.change(sa.update(Doctor).where(Doctor.slug == "erin").values(user_id=None))
    user_id = make_doctors_account(clinic)
    with clinic.database.reading() as session:
        assert session.scalar(sa.select(Doctor.user_id).where(Doctor.slug == "erin")) == user_id


@pytest.mark.parametrize(("role", "doctor", "error", "message"), [
    ("doctor", "nobody", NotFound, "No doctor has the name nobody"),
    ("doctor", "bob", Conflict, "The doctor bob already has an account."),
    ("admin", "erin", Invalid, "Only an account with the role doctor"),
])  # fmt: skip
def test_a_doctors_account_needs_a_doctor_without_one(
    clinic: Cast, role: Role, doctor: str | None, error: type[AppError], message: str
) -> None:
    with pytest.raises(error) as caught:
        make_doctors_account(clinic, role, doctor)
    assert message in caught.value.message
    with clinic.database.reading() as session:
        assert session.scalar(sa.select(User.id).where(User.email == "new@clinic.example")) is None


def test_an_address_has_one_account(run: Run, clinic: Cast) -> None:
    said = create(run, clinic.url, email="ALICE@docket.example")
    assert said.code == 1
    assert "already an account" in said.err


def test_accounts_are_listed_with_what_they_can_do(run: Run, clinic: Cast) -> None:
    clinic.change(sa.update(User).where(User.email == "dave@docket.example").values(active=False))
    clinic.change(sa.update(User).where(User.email == "bob@docket.example").values(has_password=False))
    clinic.change(sa.update(User).where(User.email == "carol@docket.example").values(last_seen_at=NOW))
    said = run("user", "list", url=clinic.url)
    assert (said.code, said.err) == (0, "")
    assert [" ".join(line.split()) for line in said.out.splitlines()] == [
        "alice@docket.example patient active never Alice Adams",
        "dave@docket.example patient disabled never Dave Dunn",
        "bob@docket.example doctor no password never Dr. Bob Brown",
        "erin@docket.example doctor active never Dr. Erin Eze",
        "carol@docket.example admin active 2026-03-02 07:00 Carol Clark",
        "fiona@docket.example receptionist active never Fiona Fox",
    ]
    assert "Dave" in run("user", "list", "--disabled", url=clinic.url).out
    assert run("user", "list", "--role", "admin", "--disabled", url=clinic.url) == (
        0, "", "No accounts found.\n",
    )  # fmt: skip


def test_an_account_is_disabled_and_enabled_by_its_address(run: Run, clinic: Cast) -> None:
    url = clinic.url
    assert run("user", "disable", "Alice@docket.example", url=url).out == (
        "The account Alice@docket.example is disabled.\n"
    )
    assert run("user", "disable", "alice@docket.example", url=url) == (
        0, "The account alice@docket.example was disabled already.\n", "",
    )  # fmt: skip
    with clinic.database.reading() as session:
        assert session.scalar(sa.select(User.active).where(User.id == clinic.alice.user_id)) is False
        event = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "user_disabled")).one()
    assert (event.actor_user_id, event.actor_role, event.details) == (None, "system", {"by": "command line"})
    assert run("user", "enable", "alice@docket.example", url=url).out.endswith("is enabled.\n")
    assert run("user", "enable", "alice@docket.example", url=url).out.endswith("was enabled already.\n")


def test_the_last_admin_who_can_sign_in_is_not_disabled(run: Run, clinic: Cast) -> None:
    invited = User(email="ivo@x.example", name="Ivo", role="admin", password_hash="", created_at=NOW)
    invited.has_password = False
    clinic.add(invited)
    said = run("user", "disable", "carol@docket.example", url=clinic.url)
    assert (said.code, said.out) == (1, "")
    assert "only admin" in said.err
    assert run("user", "disable", "ivo@x.example", url=clinic.url).code == 0


def test_a_password_link_is_printed_and_works_once(run: Run, clinic: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKET_BASE_URL", "https://clinic.example")
    said = run("user", "password-link", "carol@docket.example", url=clinic.url)
    assert (said.code, said.err) == (0, "")
    path = said.out.strip().removeprefix("https://clinic.example")
    monkeypatch.delenv("DOCKET_BASE_URL")
    with client_for(clinic.database) as client:
        assert client.post(path, data={"new": GOOD}).status_code == 303
        assert client.get(path).status_code == 404


def test_a_lost_device_is_reset(run: Run, clinic: Cast) -> None:
    app = AuthenticatorApp(user_id=clinic.carol.user_id, secret="x", last_step=0, created_at=NOW)
    clinic.database.write(lambda session: session.add(app))
    clinic.change(sa.update(User).where(User.id == clinic.carol.user_id).values(factor_since=NOW))
    said = run("user", "reset-factor", "carol@docket.example", url=clinic.url)
    assert (said.code, said.out) == (0, "Two-step sign-in of the account carol@docket.example is reset.\n")
    with clinic.database.reading() as session:
        assert session.scalar(sa.select(User.factor_since).where(User.id == clinic.carol.user_id)) is None
        assert session.scalars(sa.select(AuthenticatorApp)).all() == []
    said = run("user", "reset-factor", "carol@docket.example", url=clinic.url)
    assert (said.code, said.out) == (1, "")
    assert "no two-step sign-in" in said.err


@pytest.mark.parametrize("action", ["disable", "enable", "password-link", "reset-factor"])
def test_an_address_without_an_account_is_wrong_use(run: Run, clinic: Cast, action: str) -> None:
    said = run("user", action, "nemo@docket.example", url=clinic.url)
    assert (said.code, said.out) == (2, "")
    assert "No account has the email address nemo@docket.example" in said.err


def test_a_disabled_account_gets_no_link(run: Run, clinic: Cast) -> None:
    run("user", "disable", "alice@docket.example", url=clinic.url)
    said = run("user", "password-link", "alice@docket.example", url=clinic.url)
    assert (said.code, said.out) == (1, "")
    assert "disabled" in said.err


# ---------------------------------------------------------------------------------------------------------- check


def test_a_sound_database_has_no_problems(run: Run, clinic: Cast) -> None:
    clinic.book(clinic.alice, "2026-03-03 09:30")
    said = run("check", url=clinic.url)
    assert said.code == 0
    assert said.out.startswith("No problems")
    assert "no lost messages" in said.out


def test_problems_are_listed_and_exit_with_one(run: Run, clinic: Cast) -> None:
    put(clinic, "2026-03-03 22:00")
    said = run("check", url=clinic.url)
    assert said.code == 1
    assert said.out.count("breaks the rule") == 2
    assert "2 problem(s) found." in said.err


def test_a_missing_guard_is_a_problem(run: Run, cast: Cast) -> None:
    assert run("check", url=cast.url).code == 0
    take_guard_away(cast.database)
    said = run("check", url=cast.url)
    assert said.code == 1
    assert "The guard is missing" in said.out


def test_a_backup_is_made_and_restored_by_commands(run: Run, clinic: Cast, empty: str, tmp_path: Path) -> None:
    file = str(tmp_path / "copy")
    made = run("backup", file, url=clinic.url)
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith(f"Wrote {file} (")
    assert "Clinic: Harbour Lane Clinic" in made.out
    again = run("backup", file, url=clinic.url)
    assert (again.code, again.err) == (1, f"Error: There is such a file already (--force replaces it): {file}\n")
    restored = run("restore", file, url=empty)
    assert (restored.code, restored.err) == (0, "")
    assert restored.out.splitlines()[1:3] == made.out.splitlines()[1:3]
    assert run("check", url=empty).code == 0
    refused = run("restore", file, url=empty)
    assert (refused.code, "add --replace" in refused.err) == (1, True)
    assert run("restore", "--replace", file, url=empty).code == 0
    assert run("restore", "no-such-file", url=empty).code == 2
    assert "There is no database at" in run("backup", file, "--force", url="sqlite:///var/docket.db").err


# ------------------------------------------------------------------------------------------------------------ why


def test_a_free_time_can_be_booked(run: Run, clinic: Cast) -> None:
    said = run("why", "bob", "2026-03-03T09:30", url=clinic.url)
    assert said == (
        0, "Dr. Bob Brown, Follow-up, Tuesday 3 March 2026, 09:30 CET:\n  This time can be booked.\n", "",
    )  # fmt: skip


def test_every_rule_that_refuses_is_printed(run: Run, clinic: Cast) -> None:
    said = run("why", "bob", "2026-03-07T09:31", "--visit-type", "Operation", url=clinic.url)
    assert said.code == 1
    codes = [line.split(":")[0].strip() for line in said.out.splitlines()[1:]]
    assert codes == ["visit_type_not_online", "off_grid", "clinic_closed", "outside_working_hours"]


def test_a_repeated_time_is_answered_twice(run: Run, clinic: Cast) -> None:
    clinic.add(OpeningHours(weekday=6, start_minute=0, end_minute=1440))
    said = run("why", "bob", "2026-10-25T02:30", url=clinic.url)
    assert said.code == 1
    assert [line[-11:].strip() for line in said.out.splitlines() if line.startswith("Dr.")] == [
        "02:30 CEST:",
        "02:30 CET:",
    ]


@pytest.mark.parametrize(("words", "message"), [
    (("nobody", "2026-03-03T09:30"), "Doctor not found"),
    (("bob", "2026-03-29T02:30"), "the clocks skip it"),
    (("bob", "soon"), "is not a time"),
    (("bob", "9999-12-31T23:59"), "too far away"),
    (("bob", "2026-03-03T09:30", "--visit-type", "Massage"), "does not offer"),
])  # fmt: skip
def test_an_invalid_question_is_explained(run: Run, clinic: Cast, words: tuple[str, ...], message: str) -> None:
    said = run("why", *words, url=clinic.url)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
