"""Doctors: their details, the visit types they offer, and when they work. Minutes are wall-clock minutes."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.clinic.models import minutes_of_day_check, weekday_check, whole_minutes_checks
from webapp.core.names import sort_key_of_new
from webapp.database import SORTED_TEXT, Base

MOST_LATE_MINUTES = 480
# The guard has this many lanes beside the ordinary one.
MOST_SQUEEZE_INS = 3

doctor_visit_types = sa.Table(
    "doctor_visit_types",
    Base.metadata,
    sa.Column("doctor_id", sa.ForeignKey("doctors.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("visit_type_id", sa.ForeignKey("visit_types.id", ondelete="CASCADE"), primary_key=True),
)


class Doctor(Base):
    """A doctor. `tint` (1 to 6) is a colour of the palette, `slot_step` is in minutes.

    `squeeze_ins`: how many appointments staff may squeeze in at one time beside the ordinary one; 0 allows none.
    `late_minutes`: by how many minutes they run late on the local day `late_on`.
    """

    __tablename__ = "doctors"
    __table_args__ = (
        sa.CheckConstraint("slot_step BETWEEN 5 AND 240", name="slot_step"),
        sa.CheckConstraint("tint BETWEEN 1 AND 6", name="tint"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(80), unique=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    sort_name: Mapped[str] = mapped_column(SORTED_TEXT, default=sort_key_of_new, server_default=sa.text("''"))
    specialty: Mapped[str] = mapped_column(sa.String(80))
    languages: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    bio: Mapped[str] = mapped_column(sa.Text, default="")
    room: Mapped[str] = mapped_column(sa.String(60), default="")
    tint: Mapped[int] = mapped_column(default=1)
    slot_step: Mapped[int] = mapped_column(default=30)
    position: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)
    squeeze_ins: Mapped[int] = mapped_column(
        sa.SmallInteger,
        sa.CheckConstraint(f"squeeze_ins BETWEEN 0 AND {MOST_SQUEEZE_INS}", name="squeeze_ins"),
        default=0,
        server_default=sa.text("0"),
    )
    late_minutes: Mapped[int] = mapped_column(
        sa.SmallInteger,
        sa.CheckConstraint(f"late_minutes BETWEEN 0 AND {MOST_LATE_MINUTES}", name="late_minutes"),
        default=0,
        server_default=sa.text("0"),
    )
    late_on: Mapped[date | None]


class WorkingHours(Base):
    """A weekly span, from `valid_from` to `valid_until`, both included; None leaves that side open."""

    __tablename__ = "working_hours"
    __table_args__ = (minutes_of_day_check(), weekday_check())

    id: Mapped[int] = mapped_column(primary_key=True)
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id", ondelete="CASCADE"), index=True)
    weekday: Mapped[int]
    start_minute: Mapped[int]
    end_minute: Mapped[int]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]


class ExtraHours(Base):
    """A span on one day in addition to the rest: it overrides opening and working hours, not closures or leave."""

    __tablename__ = "extra_hours"
    __table_args__ = (minutes_of_day_check(), sa.Index("ix_extra_hours_doctor_day", "doctor_id", "day"))

    id: Mapped[int] = mapped_column(primary_key=True)
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id", ondelete="CASCADE"))
    day: Mapped[date]
    start_minute: Mapped[int]
    end_minute: Mapped[int]


class TimeOff(Base):
    """A span of time, in UTC, when the doctor is away. Repeated leave shares one `series`."""

    __tablename__ = "time_off"
    __table_args__ = (
        sa.CheckConstraint("starts_at < ends_at", name="order"),
        *whole_minutes_checks("starts_at", "ends_at"),
        sa.Index("ix_time_off_doctor_ends_at", "doctor_id", "ends_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id", ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    series: Mapped[str | None] = mapped_column(sa.String(12))
