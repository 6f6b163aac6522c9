"""Notification lists in words: what happened, how each patient hears of it, and whom to call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from webapp.appointments.messages.notification_lines import NotificationLineView, SentMessage
from webapp.appointments.messages.notification_lists import NotificationListView
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.staff.messages.log import Badge

ADDRESS = "/desk/told"
CHANNELS: dict[str, Sentence] = {"email": _l("Email"), "sms": _l("Text message")}
STATES = {
    "waiting": Badge(_l("waiting"), "info", "clock"),
    "sending": Badge(_l("sending"), "info", "paper-airplane"),
    "sent": Badge(_l("sent"), "ok", "check"),
    "kept": Badge(_l("kept as a file, not sent"), "warn", "archive-box"),
    "dead": Badge(_l("not delivered"), "bad", "exclamation-triangle"),
}
FAILING = Badge(_l("failed, trying again"), "warn", "arrow-path")


class ShownLine(NamedTuple):
    """One line in words: what happened, how the patient hears of it, why to call or '', and what it is `now` or ''."""

    line: NotificationLineView
    what: str
    ways: list[tuple[Sentence, Badge]]
    why: str
    now: str


class ShownList(NamedTuple):
    """One list among others, and how many calls are still to be made for it."""

    of: NotificationListView
    title: str
    href: str
    open: int


def list_address(list_id: int) -> str:
    """The page of a list."""
    return f"{ADDRESS}/{list_id}"


def page_after_change(lists: Sequence[int], otherwise: str, *, own: bool) -> str:
    """The next page after a change that made these lists: the only list, or the page of all lists, which is for the
    front desk.

    Doctors who changed their `own` times get the first list; without lists, the next page is `otherwise`.
    """
    if not lists:
        return otherwise
    return list_address(lists[0]) if len(lists) == 1 or own else ADDRESS


def title_of(found: NotificationListView, clinic: Clinic) -> str:
    """'Dr. Okafor is away: Tuesday 3 March 2026', 'Appointments cancelled together'."""
    if found.day is not None:
        return _("%(name)s is away: %(day)s") % {
            "name": found.doctor_name,
            "day": formats.day_full(found.day, clinic.zone),
        }
    if found.kind in ("closure", "change"):
        return _title_of_change(found, clinic)
    if found.kind == "cancel":
        return _("Appointments cancelled together")
    return _("Message to several patients")


def is_of_one_day(found: NotificationListView, clinic: Clinic) -> bool:
    """Whether the title names the day of all appointments, so that their lines need only times."""
    return found.day is not None or (found.kind in ("closure", "change") and len(set(_days_of(found, clinic))) == 1)


def _days_of(found: NotificationListView, clinic: Clinic) -> list[date]:
    """The local days of the first and the last appointment; empty on an empty list."""
    ends = [each for each in (found.first_at, found.last_at) if each is not None]
    return [formats.local_date(each, clinic.zone) for each in ends]


def _title_of_change(found: NotificationListView, clinic: Clinic) -> str:
    """'The clinic is closed: 3 to 5 March 2026', 'Appointments affected by a change: Dr. Okafor, 3 March 2026'."""
    days = ""
    if ends := _days_of(found, clinic):
        one_day = is_of_one_day(found, clinic)
        days = (
            formats.day_full(ends[0], clinic.zone) if one_day else formats.days_between(ends[0], ends[-1], clinic.zone)
        )
    if found.kind == "closure":
        return _("The clinic is closed: %(days)s") % {"days": days}
    what = ", ".join(part for part in (found.doctor_name, days) if part)
    return _("Appointments affected by a change: %(what)s") % {"what": what}


def back_of(actor: Actor, found: NotificationListView) -> tuple[str, str]:
    """The page that leads here, and its name."""
    if not actor.sees_all:
        return (f"/schedule/{found.day}" if found.day is not None else "/schedule"), _("My day")
    if found.day is not None:
        return f"/board/{found.day}?doctor={found.doctor_slug}", _("Board")
    return ADDRESS, _("Who was told")


def show_line(line: NotificationLineView, clinic: Clinic) -> ShownLine:
    """One line, as the page shows it."""
    ways = [(CHANNELS[each.channel], _badge(each)) for each in line.messages]
    return ShownLine(
        line, _change_in_words(line, clinic), ways, str(CALL_REASONS.get(line.why, "")), _later_change(line, clinic)
    )


def _badge(message: SentMessage) -> Badge:
    return FAILING if message.failing else STATES[message.status]


CALL_REASONS: dict[str, Sentence] = {
    "here": _l("At the clinic: tell them in person"),
    "no_address": _l("No email address or mobile number"),
    "unwanted": _l("Doesn’t want messages"),
    "failed": _l("No message was delivered"),
    "soon": _l("Starts soon: they may not see the email in time"),
    "undone": _l("Was told of it before it was undone"),
}


def _change_in_words(line: NotificationLineView, clinic: Clinic) -> str:
    """The change in words that can be read out on the telephone."""
    if line.what == "moved":
        words = {"when": formats.day_and_time(line.starts_at, clinic.zone), "name": line.doctor_name}
        return _("Moved to %(when)s, %(name)s") % words
    if line.what == "kept":
        return _("Kept, decide later")
    return _("Cancelled") if line.what == "cancelled" else _("Message")


def _later_change(line: NotificationLineView, clinic: Clinic) -> str:
    """The later change in words, or ''."""
    if not line.changed:
        return ""
    if line.now.status == "cancelled":
        return _("Cancelled since then")
    if line.undone:
        return _("Undone since then: it is as it was before")
    when = {"when": formats.day_and_time(line.now.starts_at, clinic.zone), "name": line.now.doctor_name}
    return _("Changed since then: it’s %(when)s, %(name)s") % when
