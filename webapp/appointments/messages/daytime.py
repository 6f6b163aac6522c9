"""When messages are sent: e-mails immediately, text messages in the clinic's daytime unless they cannot wait for it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from webapp.clinic.service import Clinic
from webapp.notifications.outbox import Channel


def is_daytime(clinic: Clinic, now: datetime) -> bool:
    """Whether it is daytime at the clinic, when messages that can wait are sent."""
    local = now.astimezone(clinic.zone)
    return clinic.daytime_from <= local.hour * 60 + local.minute < clinic.daytime_until


def next_daytime(clinic: Clinic, now: datetime) -> datetime:
    """Now if it is daytime, otherwise when daytime begins next."""
    if is_daytime(clinic, now):
        return now
    local = now.astimezone(clinic.zone)
    day = local.date() if local.hour * 60 + local.minute < clinic.daytime_from else local.date() + timedelta(days=1)
    begins = time(*divmod(clinic.daytime_from, 60))
    return datetime.combine(day, begins, tzinfo=clinic.zone).astimezone(UTC)


def due_at(clinic: Clinic, channel: Channel, soonest: datetime, *, urgent: bool, now: datetime) -> datetime:
    """When a message is due: e-mails immediately, text messages in daytime.

    A text message does not wait for the morning if the appointment is, or was, before that.
    """
    if channel == "email":
        return now
    morning = next_daytime(clinic, now)
    return now if urgent and soonest <= morning else morning


def earliest_text(clinic: Clinic, wanted: datetime, planned_for: datetime, expires_at: datetime) -> datetime:
    """When a text message wanted for `wanted` is sent: in daytime, unless it was planned for the night.

    If the morning would be too late, it is sent in the night.
    """
    if is_daytime(clinic, wanted) or not is_daytime(clinic, planned_for):
        return wanted
    morning = next_daytime(clinic, wanted)
    return morning if morning < expires_at else wanted
