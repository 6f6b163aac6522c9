"""The output of the two commands: sentences and warnings."""

from __future__ import annotations

from pathlib import Path

from webapp import migrations
from webapp.backups.service import CopyReport

# More of them would hide the rest of the output; `docket check` lists all.
MOST_PROBLEMS = 5

SEPARATE_KEY = (
    "It is not encrypted, and does not hold the secret key (DOCKET_SECRET_KEY, or var/secret_key). Keep the key in "
    "another place: without it, links in messages, calendars and second factors stop working after a restore."
)

Report = tuple[list[str], list[str]]


def backup_report(done: CopyReport, file: Path) -> Report:
    """The output of `docket backup`."""
    said = [
        f"Wrote {file} ({file.stat().st_size:,} bytes).",
        *done.contents.in_words(),
        SEPARATE_KEY,
    ]
    return said, _problems(done)


def restore_report(done: CopyReport, file: Path) -> Report:
    """The output of `docket restore`."""
    said = [f"Restored {file}.", *done.contents.in_words(), "Everyone has to sign in again."]
    warnings = []
    if done.aside:
        said.append(f"The former database was damaged, and is now {done.aside}.")
    if done.contents.waiting:
        warnings.append(
            f"{done.contents.waiting} messages wait in it. Those that were sent after the backup was made will be sent "
            "again as soon as Docket runs, unless they are out of date."
        )
    if done.contents.revision != migrations.newest_revision():
        said.append("It is of an older version: run `docket db upgrade`, then `docket check`.")
    return said, [*warnings, *_problems(done)]


def _problems(done: CopyReport) -> list[str]:
    more = len(done.problems) - MOST_PROBLEMS
    return done.problems[:MOST_PROBLEMS] + ([f"{more} more problems: `docket check` lists them."] if more > 0 else [])
