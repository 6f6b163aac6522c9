"""The `docket` command: serving, migrating, demo data, accounts, and checks.

Exit codes: 0 success, 1 the answer is no (a check found something, a rule refuses), 2 wrong use.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from webapp.commands.accounts import user
from webapp.commands.places import WrongUse, any_database, open_database
from webapp.commands.serving import serve, worker
from webapp.commands.simulation import let_walk_ins_come, simulate_day
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.exceptions import AppError, Invalid, NotFound


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


docket.add_command(serve)
docket.add_command(worker)
docket.add_command(user)


@docket.group()
def db() -> None:
    """Manage the database."""


@db.command()
def upgrade() -> None:
    """Upgrade the database to the newest schema. Does nothing if it is up to date."""
    from webapp import migrations

    with any_database(create=True) as database:
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
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The day to build around; default: the clinic's own.")
@click.option("--if-empty", is_flag=True, help="Do nothing if there is data already; exit code 0.")
@click.option("--in-production", is_flag=True, help="Allow it in production, to try a deployment out.")
@click.option("--live", is_flag=True, help="Then simulate the clinic's day, until Ctrl-C.")
@click.option(
    "--pace", default=5.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds between events."
)
def demo(
    doctors: int,
    patients: int,
    months: int,
    seed: int,
    today: datetime | None,
    if_empty: bool,
    in_production: bool,
    live: bool,
    pace: float,
) -> None:
    """Fill an empty database with a demo clinic. The password of its accounts is public."""
    from webapp.demo import generate

    if Settings().environment == "production" and not in_production:
        raise WrongUse(
            "Demo data is refused in production, because the password of its accounts is public. To try a "
            "deployment out, add --in-production, and start with an empty database before patients use it."
        )
    with open_database() as database:
        if (if_empty or live) and not generate.is_empty(database):
            if live:
                simulate_day(database, pace)
            else:
                click.echo("The database already has data; nothing was changed.")
            return
        with _progress("Creating appointments") as progress:
            summary = generate.make_demo(
                database,
                today=today.date() if today else None,
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
            f"Created {summary.doctors} doctors, {summary.patients} patients and {summary.appointments} appointments."
        )
        if today is None:
            let_walk_ins_come(database)
        if live:
            simulate_day(database, pace)


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the terminal; the function that it yields takes how many of how many are done."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield progress


@docket.command()
def check() -> None:
    """Check for double bookings, a missing guard, appointments outside the rules, and lost messages."""
    from webapp.config import Settings
    from webapp.integrity.problems import find_problems
    from webapp.integrity.warnings import find_warnings
    from webapp.worker import unsafe_mail

    production = Settings().environment == "production"
    with open_database() as database:
        for warning in (*find_warnings(database, production=production), *unsafe_mail(Settings())):
            click.echo(f"Warning: {warning}", err=True)
        problems = list(find_problems(database, now=utc_now()))
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

    FILE appears when the copy is complete and has been checked. It holds everything that was saved before the copy
    began. Only its owner can read it. It is not encrypted.
    """
    from webapp.backups.reports import backup_report
    from webapp.backups.service import make_backup

    _clean_up_when_stopped()
    # An older schema is accepted, because a backup is needed most before an upgrade.
    with any_database() as database:
        done = make_backup(database, file, force=force, now=utc_now())
    _print_report(backup_report(done, file))


@docket.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Replace a database that holds data.")
def restore(file: Path, replace: bool) -> None:
    """Restore the database from FILE, which `docket backup` made. Exit code 1 if nothing has changed.

    Stop `docket serve` and `docket worker` first. FILE is checked before anything changes. Afterwards, everyone has to
    sign in again.
    """
    from webapp.backups.reports import restore_report
    from webapp.backups.service import restore_backup

    _clean_up_when_stopped()
    with any_database(create=True) as database:
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
    from webapp.main import api_to_describe
    from webapp.openapi.router import document_text

    click.echo(document_text(api_to_describe()), nl=False)
