"""The `docket` command: serving, migrating, demo data, accounts, and checks.

Exit codes: 0 success, 1 the answer is no (a check found something, a rule refuses), 2 wrong use.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.exceptions import AppError, Invalid, NotFound

ROLES = ("patient", "receptionist", "doctor", "admin")


class WrongUse(click.ClickException):
    """The arguments make no sense. The message is printed without the usage that click's own error prints."""

    exit_code = 2


def main() -> None:
    """The entry point of the installed script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Errors are printed as sentences, not as tracebacks."""
    try:
        # In this mode click returns the code of an Exit instead of exiting with it.
        return docket(arguments, prog_name="docket", standalone_mode=False) or 0
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 130
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except AppError as error:
        click.echo(f"Error: {error.message}", err=True)
        return 1
    except ValidationError as error:
        for problem_in in error.errors():
            name = "_".join(str(part) for part in problem_in["loc"]).upper()
            sentence = problem_in["msg"].removeprefix("Value error, ")
            click.echo(f"Error: DOCKET_{name} {sentence}" if name else f"Error: {sentence}", err=True)
        return 2
    except OSError as error:
        # For example a database folder that is not writable.
        click.echo(f"Error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        return 1
    except DBAPIError as error:
        click.echo(f"Database error: {str(error.orig).strip()}", err=True)
        click.echo("Is it running, and has `docket db upgrade` been run?", err=True)
        return 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def docket() -> None:
    """Docket: appointment booking for clinics."""


@docket.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Number of server processes.")
@click.option("--worker/--no-worker", "delivers", default=True, show_default=True, help="Also deliver messages.")
def serve_command(host: str, port: int, workers: int, delivers: bool) -> None:
    """Serve the web pages and deliver messages until stopped."""
    from webapp.serving.processes import serve
    from webapp.worker import worker_beside

    settings = Settings()
    _warn_of_schema()
    # uvicorn raises the signal that stopped it once more; without a handler the worker beside it would not be stopped.
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(0))
    with _listen(host, port) as listening, _figures(settings):
        click.echo(f"Docket runs at {_own_address(host, port)} (stop with Ctrl-C).")
        with worker_beside(settings.base_url or _own_address(host, port)) if delivers else nullcontext():
            serve(listening, workers=workers)


@docket.command()
def worker() -> None:
    """Deliver messages and write reminders until stopped; several may run at once.

    `docket serve` does so by itself. A worker of its own is for clinics where several servers answer, each started
    with --no-worker.
    """
    from webapp.worker import run_worker

    settings = Settings()
    _warn_of_schema()
    click.echo("Docket delivers messages (stop with Ctrl-C).")
    with _figures(settings):
        run_worker(settings.base_url or _own_address("localhost", 8000))


@contextmanager
def _figures(settings: Settings) -> Iterator[None]:
    """Let all processes of this server count in one folder, and serve the figures, where the settings ask for them."""
    if not settings.metrics_port and not settings.metrics_token:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="docket-metrics-") as folder:
        # The library reads it when it is imported, here and in the processes that are started.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        if settings.metrics_place is None:
            yield
            return
        from webapp.event_handlers import wired_database
        from webapp.metrics import served

        database = wired_database(settings.database_url, patience=2)
        with served(*settings.metrics_place, database):
            yield
        database.dispose()


def _own_address(host: str, port: int) -> str:
    """The address of this machine, for links in messages if it is not configured.

    By name, because browsers accept passkeys for http://localhost, and not for 127.0.0.1.
    """
    here = {"0.0.0.0", "::", "127.0.0.1", "::1"}  # noqa: S104 - nothing is bound here.
    return f"http://{'localhost' if host in here else host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """The socket to answer at. If it cannot be had, say why and who has it, before anything is started."""
    from webapp.serving.ports import holders_of
    from webapp.serving.processes import listen

    try:
        return listen(host, port)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0]
        holder = next((f" It is used by process {each.pid}: {each.command[:80]}." for each in holders_of(port)), "")
        message = (
            f"Port {port} of {host} cannot be used: {why}.{holder} Choose another one with --port (make run: PORT=)."
        )
        raise click.ClickException(message) from error


def _warn_of_schema() -> None:
    """Explain a wrong schema before the first error. The database may also become reachable later."""
    from webapp import migrations

    with suppress(DBAPIError), _any_database() as database:
        if wrong := migrations.what_is_wrong(migrations.find_revision(database)):
            click.echo(f"Warning: {wrong}", err=True)


@docket.group()
def db() -> None:
    """Manage the database."""


@db.command()
def upgrade() -> None:
    """Upgrade the database to the newest schema. Does nothing if it is up to date."""
    from webapp import migrations

    with _any_database(create=True) as database:
        if migrations.is_current(database):
            click.echo("The database is up to date.")
            return
        migrations.upgrade(database)
        click.echo("The database is upgraded to the newest schema.")


@docket.command()
@click.option("--doctors", default=12, show_default=True, type=click.IntRange(12, 200), help="Number of doctors.")
@click.option(
    "--patients", default=200, show_default=True, type=click.IntRange(20, 100_000), help="Number of patients."
)
@click.option("--months", default=3, show_default=True, type=click.IntRange(0, 240), help="Months of history.")
@click.option("--seed", default=1, show_default=True, help="Another seed gives another clinic.")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The day to build around; default: today.")
@click.option("--if-empty", is_flag=True, help="Do nothing, successfully, if there is data already.")
@click.option("--in-production", is_flag=True, help="Allow it in production, to try a deployment out.")
def demo(
    doctors: int, patients: int, months: int, seed: int, today: datetime | None, if_empty: bool, in_production: bool
) -> None:
    """Fill an empty database with a demo clinic. The password of its accounts is public."""
    from webapp.demo import generate

    if Settings().environment == "production" and not in_production:
        raise WrongUse(
            "In production there is no demo data by mistake, because the password of its accounts is public. To try a "
            "deployment out, add --in-production, and start with an empty database before patients use it."
        )
    with open_database() as database:
        if if_empty and not generate.is_empty(database):
            click.echo("The database already has data; nothing was changed.")
            return
        with click.progressbar(length=1, label="Making appointments", file=sys.stderr) as bar:

            def progress(done: int, total: int) -> None:
                bar.length = max(total, 1)
                bar.update(done - bar.pos)

            summary = generate.make_demo(
                database,
                today=today.date() if today else date.today(),  # noqa: DTZ011 - the person's own today is meant.
                doctors=doctors,
                patients=patients,
                months=months,
                seed=seed,
                now=utc_now(),
                progress=progress,
            )
        if not summary.created:
            click.echo("This database already has demo data; nothing was changed.")
            return
        click.echo(
            f"Made {summary.doctors} doctors, {summary.patients} patients and {summary.appointments} appointments."
        )


@docket.group()
def user() -> None:
    """Manage accounts."""


@user.command("create")
@click.option("--role", required=True, type=click.Choice(ROLES))
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--doctor", help="For the role doctor: whose account it is, by the name in the doctor's address.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_create(role: Any, email: str, name: str, doctor: str | None, password_stdin: bool) -> None:
    """Create an account; asks for the password unless it comes from standard input."""
    from webapp.accounts import create_account

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with open_database() as database:
        create_account(database, role=role, email=email, name=name, password=password, now=utc_now(), doctor=doctor)
    click.echo(f"Created the {role} {email}.")


@user.command("list")
@click.option("--role", type=click.Choice(ROLES), help="Only accounts with this role.")
@click.option("--disabled", is_flag=True, help="Only disabled accounts.")
def user_list(role: Any, disabled: bool) -> None:
    """List the accounts: address, role, whether they can sign in, when they were last seen (UTC), name."""
    from webapp.accounts import list_accounts
    from webapp.auth.queries import UserFilter

    with open_database() as database:
        found = list_accounts(database, UserFilter(role=role, active=False if disabled else None))
    if not found:
        click.echo("No accounts found.", err=True)
        return
    width = max(len(row.email) for row in found)
    for row in found:
        state = "disabled" if not row.active else "active" if row.has_password else "no password"
        seen = f"{row.last_seen_at:%Y-%m-%d %H:%M}" if row.last_seen_at else "never"
        click.echo(f"{row.email:{width}}  {row.role:12}  {state:11}  {seen:16}  {row.name}")


@user.command("disable")
@click.argument("email")
def user_disable(email: str) -> None:
    """Disable the account EMAIL: it is signed out everywhere and cannot sign in.

    Exit code 1 if it is the last admin who can sign in, 2 if there is no such account.
    """
    _set_active(email, active=False)


@user.command("enable")
@click.argument("email")
def user_enable(email: str) -> None:
    """Enable the account EMAIL again, with the password that it had. Exit code 2 if there is no such account."""
    _set_active(email, active=True)


def _set_active(email: str, *, active: bool) -> None:
    from webapp.accounts import set_active

    with open_database() as database, _named_account():
        changed = set_active(database, email, active=active, now=utc_now())
    state = "enabled" if active else "disabled"
    click.echo(f"The account {email} is {state}." if changed else f"The account {email} was {state} already.")


@user.command("password-link")
@click.argument("email")
def user_password_link(email: str) -> None:
    """Print a link with which the owner of the account EMAIL chooses a password. It works once, for seven days.

    Older links end; the current password works until the link is used. Exit code 1 if the account is disabled, 2 if
    there is no such account.
    """
    from webapp.accounts import make_password_link

    settings = Settings()
    with open_database() as database, _named_account():
        path = make_password_link(database, email, now=utc_now())
    click.echo(f"{settings.base_url or _own_address('localhost', 8000)}{path}")
    if not settings.base_url:
        click.echo("The setting DOCKET_BASE_URL is empty, so the link is for this machine.", err=True)


@user.command("reset-factor")
@click.argument("email")
def user_reset_factor(email: str) -> None:
    """Remove the second factors of the account EMAIL, whose owner lost the device, and sign it out everywhere.

    They are told by email, sign in with the password, and set two-step sign-in up again where the clinic requires it.
    Exit code 1 if the account has no second factor, 2 if there is no such account.
    """
    from webapp.accounts import reset_factor

    with open_database() as database, _named_account():
        reset_factor(database, email, now=utc_now())
    click.echo(f"Two-step sign-in of the account {email} is reset.")


@contextmanager
def _named_account() -> Iterator[None]:
    """An address without an account is wrong use."""
    try:
        yield
    except NotFound as error:
        raise WrongUse(error.message) from error


@docket.command()
def check() -> None:
    """Check for double bookings, a missing guard, appointments outside the rules, and lost messages."""
    from webapp import integrity
    from webapp.config import Settings
    from webapp.worker import unsafe_mail

    production = Settings().environment == "production"
    with open_database() as database:
        for warning in (*integrity.warnings(database, production=production), *unsafe_mail(Settings())):
            click.echo(f"Warning: {warning}", err=True)
        problems = list(integrity.find_problems(database, now=utc_now()))
    for problem in problems:
        click.echo(problem)
    if problems:
        click.echo(f"{len(problems)} problem(s) found.", err=True)
        raise click.exceptions.Exit(1)
    click.echo(
        "No problems: no double bookings, the guard is in place, no appointments outside the rules, no lost messages."
    )


@docket.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def backup(file: Path, force: bool) -> None:
    """Write a copy of the whole database into FILE, while people work. Exit code 1 if it cannot be made.

    FILE appears when the copy is complete and was read once. It holds all that was acknowledged before the start, is
    readable by its owner alone, and is not encrypted.
    """
    from webapp.backups.reports import backup_report
    from webapp.backups.service import make_backup

    _clean_up_when_stopped()
    # Also of an older schema: before an upgrade is when a backup is needed most.
    with _any_database() as database:
        done = make_backup(database, file, force=force, now=utc_now())
    _print_report(backup_report(done, file))


@docket.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Replace a database that holds data.")
def restore(file: Path, replace: bool) -> None:
    """Put the database back from FILE, which `docket backup` made. Exit code 1 if it is left as it was.

    FILE is read and checked first. Stop `docket serve` and `docket worker` before. Everyone has to sign in again.
    """
    from webapp.backups.reports import restore_report
    from webapp.backups.service import restore_backup

    _clean_up_when_stopped()
    with _any_database(create=True) as database:
        done = restore_backup(database, file, replace=replace, now=utc_now())
    _print_report(restore_report(done, file))


def _clean_up_when_stopped() -> None:
    """End by an exception, so that no half of a copy stays behind."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(128 + signal.SIGTERM))


def _print_report(report: tuple[list[str], list[str]]) -> None:
    said, warnings = report
    for line in said:
        click.echo(line)
    for line in warnings:
        click.echo(f"Warning: {line}", err=True)


@docket.command()
@click.argument("doctor")
@click.argument("time")
@click.option("--visit-type", help="Name or id of the visit type; default: the doctor's default type.")
def why(doctor: str, time: str, visit_type: str | None) -> None:
    """Explain why DOCTOR (the name in the address) cannot be booked at TIME.

    TIME is like 2026-12-01T09:30, in the clinic's time zone, or with an offset such as Z or +01:00.
    Exit code 0: it can be booked. 1: every rule that refuses is printed. 2: unknown doctor, visit type or
    time.
    """
    from webapp.scheduling.explain import explain

    with open_database() as database, database.reading() as session:
        try:
            answers = explain(session, doctor, time, visit_type, now=utc_now())
        except (Invalid, NotFound) as error:
            # No rule was checked: the question itself is invalid.
            raise WrongUse(error.message) from error
    refused = False
    for answer in answers:
        click.echo(answer.title)
        for code, sentence in answer.refusals:
            refused = True
            click.echo(f"  {code}: {sentence}")
        if not answer.refusals:
            click.echo("  This time can be booked.")
    if refused:
        raise click.exceptions.Exit(1)


@docket.command()
def openapi() -> None:
    """Print the description of the API, an OpenAPI document in JSON."""
    from webapp.api_docs import document_text
    from webapp.main import api_to_describe

    click.echo(document_text(api_to_describe()), nl=False)


@contextmanager
def open_database() -> Iterator[Any]:
    """The database from the settings, which has this version's schema; it is closed at the end.

    Raises:
        WrongUse: no database is there. WrongSchema: it has another schema.
    """
    from webapp import migrations

    with _any_database() as database:
        migrations.require_current(database)
        yield database


@contextmanager
def _any_database(*, create: bool = False) -> Iterator[Any]:
    """The database from the settings, whatever its schema is.

    Raises:
        WrongUse: no database is there, and this command creates none.
    """
    from webapp.engines import sqlite_file
    from webapp.event_handlers import wired_database

    url = Settings().database_url
    path = sqlite_file(url)
    if path is not None and not create and not path.exists():
        raise WrongUse(
            f"There is no database at {path.absolute()}. Run the command in the folder of your clinic, or name the "
            "database in DOCKET_DATABASE_URL; `docket db upgrade` creates a new one."
        )
    database = wired_database(url)
    try:
        yield database
    finally:
        database.dispose()
