"""All tables of the booking core: accounts, clinic, doctors, patients, appointments, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)
OCCUPIES = sa.text("status IN ('scheduled', 'confirmed', 'arrived', 'completed')")

WHOLE_MINUTES = "whole_minutes"
LONGEST = "longest"
INSTANT_CHECKS = {
    "sqlite": (
        sa.CheckConstraint(
            "starts_at IS strftime('%Y-%m-%d %H:%M:00', starts_at)"
            " AND ends_at IS strftime('%Y-%m-%d %H:%M:00', ends_at)"
            " AND busy_from IS strftime('%Y-%m-%d %H:%M:00', busy_from)"
            " AND busy_until IS strftime('%Y-%m-%d %H:%M:00', busy_until)",
            name=WHOLE_MINUTES,
        ),
        sa.CheckConstraint("busy_until <= datetime(busy_from, '+8 hours')", name=LONGEST),
    ),
    "postgresql": (
        sa.CheckConstraint(
            "date_part('second', starts_at) = 0 AND date_part('second', ends_at) = 0"
            " AND date_part('second', busy_from) = 0 AND date_part('second', busy_until) = 0",
            name=WHOLE_MINUTES,
        ),
        sa.CheckConstraint("busy_until - busy_from <= interval '8 hours'", name=LONGEST),
    ),
}

TIME_OFF_CHECKS = {
    "sqlite": sa.CheckConstraint(
        "starts_at IS strftime('%Y-%m-%d %H:%M:00', starts_at) AND ends_at IS strftime('%Y-%m-%d %H:%M:00', ends_at)",
        name=WHOLE_MINUTES,
    ),
    "postgresql": sa.CheckConstraint(
        "date_part('second', starts_at) = 0 AND date_part('second', ends_at) = 0", name=WHOLE_MINUTES
    ),
}


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor_user_id", sa.Integer(), nullable=True),
        sa.Column("actor_role", sa.String(length=10), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject_type", sa.String(length=20), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_actor", "audit_events", ["actor_user_id", "id"], unique=False)
    op.create_index("ix_audit_events_subject", "audit_events", ["subject_type", "subject_id", "id"], unique=False)
    op.create_table(
        "clinic_settings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("notice_minutes", sa.Integer(), nullable=False),
        sa.Column("horizon_days", sa.Integer(), nullable=False),
        sa.Column("change_until_minutes", sa.Integer(), nullable=False),
        sa.Column("max_active_visits", sa.Integer(), nullable=False),
        sa.Column("patient_gap_minutes", sa.Integer(), nullable=False),
        sa.Column("demo", sa.Boolean(), nullable=False),
        sa.CheckConstraint("id = 1", name="single_row"),
        sa.PrimaryKeyConstraint("id", name="pk_clinic_settings"),
    )
    op.create_table(
        "closures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.CheckConstraint("starts_on <= ends_on", name="order"),
        sa.PrimaryKeyConstraint("id", name="pk_closures"),
    )
    op.create_table(
        "failed_logins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("judged", sa.Boolean(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_failed_logins"),
    )
    op.create_index("ix_failed_logins_account_at", "failed_logins", ["account", "at"], unique=False)
    op.create_index("ix_failed_logins_address_at", "failed_logins", ["address", "at"], unique=False)
    op.create_index("ix_failed_logins_at", "failed_logins", ["at"], unique=False)
    op.create_table(
        "opening_hours",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("start_minute", sa.Integer(), nullable=False),
        sa.Column("end_minute", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "0 <= start_minute AND start_minute < end_minute AND end_minute <= 1440",
            name="span",
        ),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        sa.PrimaryKeyConstraint("id", name="pk_opening_hours"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("role IN ('patient', 'doctor', 'admin')", name="role"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "visit_types",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("buffer_before", sa.Integer(), nullable=False),
        sa.Column("buffer_after", sa.Integer(), nullable=False),
        sa.Column("preparation", sa.Text(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("named_in_messages", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "buffer_before BETWEEN 0 AND 120 AND buffer_after BETWEEN 0 AND 120",
            name="buffers",
        ),
        sa.CheckConstraint("minutes BETWEEN 5 AND 240", name="minutes"),
        sa.PrimaryKeyConstraint("id", name="pk_visit_types"),
        sa.UniqueConstraint("name", name="uq_visit_types_name"),
    )
    op.create_table(
        "doctors",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("specialty", sa.String(length=80), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("bio", sa.Text(), nullable=False),
        sa.Column("room", sa.String(length=60), nullable=False),
        sa.Column("tint", sa.Integer(), nullable=False),
        sa.Column("slot_step", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint("slot_step BETWEEN 5 AND 240", name="slot_step"),
        sa.CheckConstraint("tint BETWEEN 1 AND 6", name="tint"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_doctors_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_doctors"),
        sa.UniqueConstraint("slug", name="uq_doctors_slug"),
        sa.UniqueConstraint("user_id", name="uq_doctors_user_id"),
    )
    op.create_table(
        "patients",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("managed_by_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["managed_by_id"], ["patients.id"], name="fk_patients_managed_by_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_patients_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_patients"),
        sa.UniqueConstraint("user_id", name="uq_patients_user_id"),
    )
    op.create_index("ix_patients_managed_by_id", "patients", ["managed_by_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("id_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("id_hash", name="uq_sessions_id_hash"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"], unique=False)
    op.create_table(
        "appointments",
        *INSTANT_CHECKS[op.get_bind().dialect.name],
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(length=9), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("visit_type_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("busy_from", INSTANT, nullable=False),
        sa.Column("busy_until", INSTANT, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("notes", sa.String(length=1000), nullable=False),
        sa.Column("cancellation_reason", sa.String(length=500), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("booked_by", sa.Integer(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "status IN ('scheduled', 'confirmed', 'arrived', 'completed', 'no_show', 'cancelled')",
            name="status",
        ),
        sa.CheckConstraint(
            "busy_from <= starts_at AND starts_at < ends_at AND ends_at <= busy_until",
            name="order",
        ),
        sa.CheckConstraint(
            "length(reason) <= 500 AND length(notes) <= 1000 AND length(cancellation_reason) <= 500", name="lengths"
        ),
        sa.ForeignKeyConstraint(["booked_by"], ["users.id"], name="fk_appointments_booked_by"),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_appointments_doctor_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_appointments_patient_id"),
        sa.ForeignKeyConstraint(["visit_type_id"], ["visit_types.id"], name="fk_appointments_visit_type_id"),
        sa.PrimaryKeyConstraint("id", name="pk_appointments"),
        sa.UniqueConstraint("reference", name="uq_appointments_reference"),
    )
    op.create_index(
        "ix_appointments_doctor_busy",
        "appointments",
        ["doctor_id", "busy_from", "busy_until"],
        unique=False,
        sqlite_where=OCCUPIES,
        postgresql_where=OCCUPIES,
    )
    op.create_index("ix_appointments_doctor_starts", "appointments", ["doctor_id", "starts_at"], unique=False)
    op.create_index("ix_appointments_patient_starts", "appointments", ["patient_id", "starts_at"], unique=False)
    op.create_table(
        "doctor_visit_types",
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("visit_type_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["doctor_id"], ["doctors.id"], name="fk_doctor_visit_types_doctor_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["visit_type_id"],
            ["visit_types.id"],
            name="fk_doctor_visit_types_visit_type_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("doctor_id", "visit_type_id", name="pk_doctor_visit_types"),
    )
    op.create_table(
        "extra_hours",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("start_minute", sa.Integer(), nullable=False),
        sa.Column("end_minute", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "0 <= start_minute AND start_minute < end_minute AND end_minute <= 1440",
            name="span",
        ),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_extra_hours_doctor_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_extra_hours"),
    )
    op.create_index("ix_extra_hours_doctor_day", "extra_hours", ["doctor_id", "day"], unique=False)
    op.create_table(
        "time_off",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name="order"),
        TIME_OFF_CHECKS[op.get_bind().dialect.name],
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_time_off_doctor_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_time_off"),
    )
    op.create_index("ix_time_off_doctor_ends_at", "time_off", ["doctor_id", "ends_at"], unique=False)
    op.create_table(
        "working_hours",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("start_minute", sa.Integer(), nullable=False),
        sa.Column("end_minute", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "0 <= start_minute AND start_minute < end_minute AND end_minute <= 1440",
            name="span",
        ),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_working_hours_doctor_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_working_hours"),
    )
    op.create_index("ix_working_hours_doctor_id", "working_hours", ["doctor_id"], unique=False)


def downgrade() -> None:
    for table in (
        "working_hours",
        "time_off",
        "extra_hours",
        "doctor_visit_types",
        "appointments",
        "sessions",
        "patients",
        "doctors",
        "visit_types",
        "users",
        "opening_hours",
        "failed_logins",
        "closures",
        "clinic_settings",
        "audit_events",
    ):
        op.drop_table(table)
