"""Short reasons for a day without free times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from webapp.clinic.service import ClosureRow
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.scheduling.rules import Facts, emptied_by
from webapp.scheduling.slots import Span

# The page shows the rule that removes a day's last free time. The rules are tried in this order.
REASONS = {
    "closure": _l("Closed"),
    "clinic_closed": _l("Closed"),
    "outside_working_hours": _l("Not working"),
    "time_off": _l("Away"),
    "too_far_ahead": _l("Booking not open yet"),
    "in_the_past": _l("No times left today"),
    "too_soon": _l("Too soon to book online"),
    "slot_taken": _l("Fully booked"),
    "same_time": _l("Only your current time is free"),
    "patient_overlap": _l("You have another appointment then"),
    "patient_gap": _l("Too close to your other appointment"),
}
STAFF_REASONS = {
    "too_far_ahead": _l("Beyond the booking window"),
    "same_time": _l("Only its current time is free"),
    "patient_overlap": _l("Patient has another appointment then"),
    "patient_gap": _l("Too close to the patient’s other appointment"),
}


def reason_of(facts: Facts, span: Span, closures: Sequence[ClosureRow], day: date, today: date) -> str:
    """Why a future day has no free time, according to the rules."""
    # Staff see the times within the notice, so the notice is never their reason for an empty day.
    codes = [code for code in REASONS if not (facts.by_staff and code == "too_soon")]
    code = emptied_by(facts, span, codes)
    if facts.by_staff and code in STAFF_REASONS:
        return str(STAFF_REASONS[code])
    if code == "closure":
        names = [closure.name for closure in closures if closure.starts_on <= day <= closure.ends_on]
        return _("Closed: %(name)s") % {"name": names[0]} if names else _("Closed")
    if code == "too_soon" and day == today:
        return _("No times left today")
    return str(REASONS[code]) if code else _("Not bookable online")
