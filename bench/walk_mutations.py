"""The mutations of `bench.walk`: a part of a cache's key or state in the code, or a trigger of the database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, cast, get_args

import sqlalchemy as sa

from bench.walk_changes import CHANGED, Change, Event
from tests.cast import Cast
from webapp.clinic.schedule_version_models import OF_MONTH
from webapp.database import Database

ROOT = Path(__file__).resolve().parents[1]
# A copy of Docket for a mutation has only its code; the rest is the checkout's.
_CODE = "webapp"


class Mutation(NamedTuple):
    """A change of one place in the code: `old` becomes `new` in a file of `webapp`."""

    what: str
    file: str
    old: str
    new: str


_VERSIONS, _VISITORS = "clinic/schedule_versions.py", "scheduling/dependencies.py"
_CALENDAR, _FRAGMENTS = "scheduling/week_calendar.py", "clinic/fragment_cache.py"
_BOARD, _COLUMNS = "staff/board/board_page.py", "staff/board/columns.py"
MUTATIONS = (
    Mutation(
        "a doctor's version",
        _VERSIONS,
        "return self.of_clinic, self._versions.get(doctor_id, _NEVER_CHANGED)",
        "return self.of_clinic, _NEVER_CHANGED",
    ),
    Mutation(
        "the clinic's version beside a doctor's",
        _VERSIONS,
        "return self.of_clinic, self._versions.get(",
        "return _NEVER_CHANGED, self._versions.get(",
    ),
    Mutation("all versions of an answer", _VERSIONS, "return self._all_doctors", "return ()"),
    Mutation(
        "the versions of months",
        _VERSIONS,
        "return self.of_clinic, *sorted(pair for pair in of_months if pair[0] != CLINIC)",
        "return (self.of_clinic,)",
    ),
    Mutation("the clinic's version", _VERSIONS, "key, versions.of_clinic, read", "key, _NEVER_CHANGED, read"),
    Mutation("the language of an answer", _VISITORS, "key = language_tag(), page", "key = page"),
    Mutation("whether a fragment is wanted", _VISITORS, "page.wants_fragment, request.scope", "request.scope"),
    Mutation("the query of an address", _VISITORS, ', request.scope["query_string"]\n', ",\n"),
    Mutation("the minute of an answer", _VISITORS, "minute_reached(page.now), current", "current"),
    Mutation("the day of an answer", _VISITORS, ", current_clinic(page).today(page.now)\n", "\n"),
    Mutation("who is a visitor", _VISITORS, '"cookie" not in request.headers and ', ""),
    Mutation("the visit type of a schedule", "scheduling/facts.py", "*of_doctor, *of_kind, first", "*of_doctor, first"),
    Mutation("the last day of a schedule", "scheduling/facts.py", "*of_kind, first, last", "*of_kind, first"),
    Mutation("the language of a calendar", _CALENDAR, '"calendar", language_tag(), place', '"calendar", place'),
    Mutation("the version of a calendar", _CALENDAR, "state = version, minute", "state = minute"),
    Mutation("the minute of a calendar", _CALENDAR, "state = version, minute, ", "state = version, "),
    Mutation("the reader's role in a calendar", _CALENDAR, "place, viewer.by_staff, own", "place, own"),
    Mutation("the patient's own appointments", _CALENDAR, "viewer.by_staff, own", "viewer.by_staff"),
    Mutation("the language of a column", _FRAGMENTS, "(key, language_tag())", "(key,)"),
    Mutation("the language of a fragment", _FRAGMENTS, "macro, place, language)", "macro, place)"),
    Mutation("the values of a fragment", _FRAGMENTS, "(values, clock)", "clock"),
    Mutation("the reader's role on a board", _BOARD, "slug, actor.role, ", "slug, "),
    Mutation("the day of a board", _BOARD, '("board", day, slug', '("board", slug'),
    Mutation("the doctor of a board", _BOARD, '("board", day, slug, ', '("board", day, '),
    Mutation("the chosen columns of a board", _BOARD, "choices.get_choice(page.session, actor), language", "language"),
    Mutation("the language of a board", _BOARD, "actor), language_tag())", "actor))"),
    Mutation("the changes of a board", _BOARD, "state = (version_seen(page.session), ", "state = ("),
    Mutation("the clock of a board", _BOARD, "to_minute(page.now), minute_reached", "minute_reached"),
    Mutation("what is past on a board", _BOARD, "minute_reached(page.now), calls)", "calls)"),
    Mutation("the reasons of time off", _BOARD, ", tuple(outline.hours.leave))", ")"),
    Mutation("the version of a column", _COLUMNS, "            self.version,\n", ""),
    Mutation("the appointments of a column", _COLUMNS, "            self.taken.text,\n", ""),
    Mutation("the starts that have passed", _COLUMNS, "            self._next_start(self.frame.now),\n", ""),
    Mutation("the minimum notice of a column", _COLUMNS, "            self._next_start(begins),\n", ""),
)


class Trigger(NamedTuple):
    """A trigger that raises versions `of` schedules or months, or tells open boards, and the changes that it sees."""

    name: str
    of: str
    change: Change


# The others of these names are for statements that a walk does not send, or notice what another trigger notices too.
_NAME = re.compile(
    r"(?P<table>\w+)_(?P<kind>schedule_version|live)_on_(?P<event>insert|update|delete|rows|change)(_\w+)?"
)
_DOUBLE = re.compile(r".*_update_(old|new)|.*_leave")
# These changes are never made, or show nothing by themselves: a visit type that a doctor offers goes with the offer.
_SILENT = {
    "schedule_version": {
        *(("clinic_settings", "insert"), ("clinic_settings", "delete"), ("doctors", "delete"), ("patients", "delete")),
        *(("visit_types", "insert"), ("visit_types", "delete")),
    }
}
# A board shows of an offer only whether patients can book the doctor at all.
_SILENT["live"] = _SILENT["schedule_version"] | {("doctor_visit_types", "insert"), ("doctor_visit_types", "update")}


def triggers_of(clinic: Cast) -> list[Trigger]:
    """The triggers of this kind of database that a walk without them must notice."""
    sqlite = clinic.database.is_sqlite
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'" if sqlite else "SELECT tgname FROM pg_trigger"
    with clinic.database.reading() as session:
        names: list[str] = sorted(session.scalars(sa.text(query)))
    found = []
    for name in names:
        parts = _NAME.fullmatch(name)
        if parts is None or _DOUBLE.fullmatch(name) or parts["table"] not in CHANGED:
            continue
        event = parts["event"] if parts["event"] in get_args(Event) else "update"
        # On PostgreSQL two triggers tell boards of an update, with the rows before and after it.
        doubled = parts["kind"] == "live" and parts["event"] == "update" and not sqlite and parts["table"] != "patients"
        if doubled or (parts["table"], event) in _SILENT[parts["kind"]]:
            continue
        of = "boards" if parts["kind"] == "live" else "months" if parts["table"] == OF_MONTH else "schedules"
        found.append(Trigger(name, of, Change(parts["table"], cast("Event", event))))
    return found


def drop_trigger(database: Database, trigger: Trigger) -> None:
    """Take the trigger away."""
    on = "" if database.is_sqlite else f" ON {trigger.change.table}"
    database.write(lambda session: session.execute(sa.text(f"DROP TRIGGER {trigger.name}{on}")))


def read_mutated(mutation: Mutation) -> str:
    """The text of the file with the mutation.

    Raises:
        ValueError: the code has changed, and the mutation must follow it.
    """
    text = (ROOT / _CODE / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.file} does not have this once: {mutation.old}")
    return text.replace(mutation.old, mutation.new)


def is_noticed(mutation: Mutation, arguments: list[str]) -> bool:
    """Whether a walk with these arguments through a copy with the mutation finds a difference."""
    with tempfile.TemporaryDirectory(prefix="docket-mutation-") as folder:
        copy = Path(folder)
        for each in ROOT.iterdir():
            if each.name != _CODE and not each.name.startswith("."):
                (copy / each.name).symlink_to(each)
        shutil.copytree(ROOT / _CODE, copy / _CODE, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / _CODE / mutation.file).write_text(read_mutated(mutation))
        command = [sys.executable, "-m", "bench.walk", "--first", *arguments]
        environment = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    # Nothing differs: 0. Something does: 1, and the walk says what.
    if done.returncode not in {0, 1} or (done.returncode and " instead of " not in done.stdout):
        raise RuntimeError(done.stdout[-1000:] + done.stderr[-3000:])
    return bool(done.returncode)
