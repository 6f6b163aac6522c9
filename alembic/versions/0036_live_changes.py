"""The list of changes that open pages hear of, written by triggers, and told by PostgreSQL to everyone who listens."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"

OF_DOCTOR = ("working_hours", "extra_hours", "time_off")
OF_CLINIC = ("clinic_settings", "opening_hours", "closures", "visit_types", "doctors", "doctor_visit_types")
OF_PATIENTS = "UPDATE OF name, birth_date, phone, email"
FUNCTIONS = {
    "note_live_change_of_day": (
        "SELECT DISTINCT doctor_id, to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM changed"
    ),
    "note_live_change_of_doctor": "SELECT DISTINCT doctor_id, '' FROM changed",
    "note_live_change_of_clinic": "SELECT 0, ''",
}


def upgrade() -> None:
    op.create_table(
        "live_changes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("doctor_id", sa.Integer, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_live_changes"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        _create_postgresql_functions()
        for name, table, event, rows, function in _postgresql_triggers():
            each = "ROW" if function == "tell_live_change" else "STATEMENT"
            _run(f"CREATE TRIGGER {name} AFTER {event} ON {table}{rows} FOR EACH {each} EXECUTE FUNCTION {function}()")
    else:
        for name, table, event, changed in _sqlite_triggers():
            _run(f"""
    CREATE TRIGGER {name} AFTER {event} ON {table}
    BEGIN
        INSERT INTO live_changes (doctor_id, day) {changed};
    END
    """)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, table, *_rest in _postgresql_triggers():
            _run(f"DROP TRIGGER {name} ON {table}")
        for function in (*FUNCTIONS, "tell_live_change"):
            _run(f"DROP FUNCTION {function}()")
    else:
        for name, *_rest in _sqlite_triggers():
            _run(f"DROP TRIGGER {name}")
    op.drop_table("live_changes")


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)


def _sqlite_triggers() -> Iterator[tuple[str, str, str, str]]:
    whole = {"appointments": "SELECT {0}.doctor_id, date({0}.starts_at)"}
    whole |= dict.fromkeys(OF_DOCTOR, "SELECT {0}.doctor_id, ''") | dict.fromkeys(OF_CLINIC, "SELECT 0, ''")
    for table, changed in whole.items():
        for event, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
            both = " UNION ".join(dict.fromkeys(changed.format(row) for row in rows))
            yield f"{table}_live_on_{event.lower()}", table, event, both
    yield "patients_live_on_update", "patients", OF_PATIENTS, "SELECT 0, ''"


def _create_postgresql_functions() -> None:
    for name, query in FUNCTIONS.items():
        _run(f"""
    CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO live_changes (doctor_id, day) {query};
        RETURN NULL;
    END $$
    """)
    _run("""
    CREATE FUNCTION tell_live_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('docket_live', NEW.doctor_id || ' ' || NEW.day);
        RETURN NULL;
    END $$
    """)


def _postgresql_triggers() -> Iterator[tuple[str, str, str, str, str]]:
    yield "live_changes_told", "live_changes", "INSERT", "", "tell_live_change"
    for table in ("appointments", *OF_DOCTOR):
        function = f"note_live_change_of_{'doctor' if table in OF_DOCTOR else 'day'}"
        for name, event, rows in (
            ("insert", "INSERT", "NEW"),
            ("update", "UPDATE", "NEW"),
            ("leave", "UPDATE", "OLD"),
            ("delete", "DELETE", "OLD"),
        ):
            yield f"{table}_live_on_{name}", table, event, f" REFERENCING {rows} TABLE AS changed", function
    for table in OF_CLINIC:
        yield f"{table}_live_on_change", table, "INSERT OR UPDATE OR DELETE", "", "note_live_change_of_clinic"
    yield "patients_live_on_update", "patients", OF_PATIENTS, "", "note_live_change_of_clinic"
