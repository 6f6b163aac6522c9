"""Each appointment keeps the hour on the clinic's clock that was promised.

For appointments that are there, that is the hour that today's data about time zones give: it is what the patient was
told last. Python computes the offsets of the clinic's zone, because each database has data of its own; the database
adds them. On SQLite the new column and its check are completed in the table's definition, as in 0009.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# So many rows are changed by one statement.
AT_ONCE = 20_000
MINUTE = {
    "sqlite": "CAST(strftime('%s', starts_at) AS INTEGER) / 60",
    "postgresql": "CAST(date_part('epoch', starts_at) / 60 AS integer)",
}
CHECK = "CONSTRAINT ck_appointments_promised CHECK (promised_minute - {minute} BETWEEN -900 AND 900)"
# The definition of the column on SQLite while it is filled, and for good.
FILLING = "promised_minute INTEGER DEFAULT 0 NOT NULL"
FILLED = "promised_minute INTEGER NOT NULL"
GUARD = "appointments_patient_overlap_on_update"


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    minute = MINUTE[dialect]
    promised = f"{minute} + {_offset()}"
    if dialect == "sqlite":
        _run(f"ALTER TABLE appointments ADD COLUMN {FILLING}")
        most = op.get_bind().execute(sa.text("SELECT max(id) FROM appointments")).scalar() or 0
        with _guard_of_other_columns():
            for low in range(0, most, AT_ONCE):
                _run(f"UPDATE appointments SET promised_minute = {promised} WHERE id > {low} AND id <= {low + AT_ONCE}")
        _edit_definition((FILLING, FILLED), ("\n)", f", \n\t{CHECK.format(minute=minute)}\n)"))
        return
    # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
    _run("SET CONSTRAINTS ALL IMMEDIATE")
    _run("ALTER TABLE appointments ADD COLUMN promised_minute integer")
    # One pass that writes the table and its indexes anew takes less time and space than an update of every row.
    _run(
        f"ALTER TABLE appointments ALTER COLUMN promised_minute TYPE integer USING ({promised}),"
        f" ALTER COLUMN promised_minute SET NOT NULL, ADD {CHECK.format(minute=minute)}"
    )


def downgrade() -> None:
    minute = MINUTE[op.get_bind().dialect.name]
    if op.get_bind().dialect.name == "sqlite":
        _edit_definition((f", \n\t{CHECK.format(minute=minute)}\n)", "\n)"))
    op.drop_column("appointments", "promised_minute")


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)


@contextmanager
def _guard_of_other_columns() -> Iterator[None]:
    """Let the guard watch the columns that it reads, and not the one that is filled.

    Otherwise it would search once for each row, and stop at an overlap that was there before the guard.
    """
    query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    definition = op.get_bind().execute(query, {"name": GUARD}).scalar_one()
    meanwhile = definition.replace(GUARD, f"{GUARD}_meanwhile", 1).replace(
        "BEFORE UPDATE ON", "BEFORE UPDATE OF id, patient_id, starts_at, ends_at, status ON", 1
    )
    _run(meanwhile)
    _run(f"DROP TRIGGER {GUARD}")
    yield
    _run(definition)
    _run(f"DROP TRIGGER {GUARD}_meanwhile")


# -------------------------------------------------------------------------------------------------- the offsets


def _offset() -> str:
    """SQL that gives, from `starts_at`, by how many minutes the clinic's clock was ahead of UTC."""
    name = op.get_bind().execute(sa.text("SELECT time_zone FROM clinic_settings WHERE id = 1")).scalar()
    zone = _zone(name or "Europe/Amsterdam")
    first, last = _instant("min"), _instant("max")
    if first is None or last is None:
        return "0"
    *changes, (_end, lasting) = _offsets(zone, first, last)
    if not changes:
        return str(lasting)
    choices = " ".join(f"WHEN starts_at < '{end}' THEN {offset}" for end, offset in changes)
    return f"(CASE {choices} ELSE {lasting} END)"


def _zone(name: str) -> ZoneInfo:
    """The zone, or UTC for a name that is in no data: the check and the overview then name what is wrong."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return ZoneInfo("UTC")


def _instant(pick: str) -> datetime | None:
    found = op.get_bind().execute(sa.text(f"SELECT {pick}(starts_at) FROM appointments")).scalar()
    if isinstance(found, str):
        found = datetime.fromisoformat(found).replace(tzinfo=UTC)
    return None if found is None else found.astimezone(UTC)


def _offsets(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[tuple[str, int]]:
    """The offsets from the first instant to the last, each with the text of the instant until which it holds."""

    def at(instant: datetime) -> int:
        return int((instant.astimezone(zone).utcoffset() or timedelta()).total_seconds()) // 60

    day = timedelta(days=1)
    while first <= last:
        if at(first) != at(first + day):
            low, high = first, first + day
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) // timedelta(minutes=2) * timedelta(minutes=1)
                low, high = (middle, high) if at(middle) == at(first) else (low, middle)
            yield f"{high:%Y-%m-%d %H:%M:%S}{'' if op.get_bind().dialect.name == 'sqlite' else '+00'}", at(first)
        first += day
    yield "", at(first)


# -------------------------------------------------------------------------------------- SQLite's definition


def _edit_definition(*edits: tuple[str, str]) -> None:
    """Write the definition of the table anew, and make every connection read it again."""
    master = sa.table("sqlite_master", sa.column("type"), sa.column("name"), sa.column("sql"))
    found = master.c.type == "table", master.c.name == "appointments"
    definition = op.get_bind().execute(sa.select(master.c.sql).where(*found)).scalar_one()
    for old, new in edits:
        if definition.count(old) != 1:
            raise ValueError(f"The table appointments has another definition than Docket gave it: {definition}")
        definition = definition.replace(old, new)
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    _run("PRAGMA writable_schema = ON")
    try:
        op.execute(sa.update(master).where(*found).values(sql=definition))
        _run(f"PRAGMA schema_version = {version + 1}")
    finally:
        # This connection reads it now, and fails if it makes no sense.
        _run("PRAGMA writable_schema = RESET")
