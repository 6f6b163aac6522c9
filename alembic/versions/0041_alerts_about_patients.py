"""What staff must know of a patient: an alert, which open days hear of, and a longer note on the record."""

from __future__ import annotations

from alembic import op

revision = "0041"
down_revision = "0040"

# The checks are on the columns, because SQLite can add a column with a check but cannot add a check to a table.
COLUMNS = {"alert": 80, "desk_note": 1000}
BEFORE, AFTER = "name, birth_date, phone, email", "name, birth_date, phone, email, alert"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name, most in COLUMNS.items():
        check = f"CONSTRAINT ck_patients_{name} CHECK (length({name}) <= {most})"
        op.execute(f"ALTER TABLE patients ADD COLUMN {name} VARCHAR({most}) DEFAULT '' NOT NULL {check}")
    _tell_of(AFTER)


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    _tell_of(BEFORE)
    for name in COLUMNS:
        if op.get_bind().dialect.name != "sqlite":
            op.drop_constraint(f"ck_patients_{name}", "patients")
        op.drop_column("patients", name)


def _tell_of(columns: str) -> None:
    """Let open pages hear of changes in these columns of patients: see 0036."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER patients_live_on_update ON patients")
        op.execute(
            f"CREATE TRIGGER patients_live_on_update AFTER UPDATE OF {columns} ON patients"
            " FOR EACH STATEMENT EXECUTE FUNCTION note_live_change_of_clinic()"
        )
        return
    op.execute("DROP TRIGGER patients_live_on_update")
    op.execute(f"""
    CREATE TRIGGER patients_live_on_update AFTER UPDATE OF {columns} ON patients
    BEGIN
        INSERT INTO live_changes (doctor_id, day) SELECT 0, '';
    END
    """)
