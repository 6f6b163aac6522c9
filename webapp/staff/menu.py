"""The menus of doctors, of the front desk and of admins, in the order of their day."""

from __future__ import annotations

from typing import NamedTuple

from webapp.auth.schemas import Role
from webapp.i18n import lazy_gettext as _l


class MenuItem(NamedTuple):
    """One line of the menu; `current` marks the page that is shown."""

    href: str
    text: str
    icon: str
    current: bool


def staff_places(role: Role, path: str) -> tuple[MenuItem, ...]:
    """The menu of a role for the page at `path`: the place with the longest matching address is current.

    Pages beside the menu belong to the board for the front desk, and to their own day for doctors.
    """
    places = _PLACES.get(role, _ADMINS_PLACES)
    fitting = [href for href, _text, _icon in places if _is_within(path, href)]
    here = max(fitting, key=len, default="")
    if not here and any(_is_within(path, each) for each in _BESIDE_A_DAY):
        here = "/schedule" if role == "doctor" else "/board"
    elif not here and _is_within(path, "/book"):
        here = "/desk/booking"
    return tuple(MenuItem(href, str(text), icon, href == here) for href, text, icon in places)


def _is_within(path: str, href: str) -> bool:
    return path == href or path.startswith(f"{href.rstrip('/')}/")


# Lateness, absences, calls, walk-ins, and notification lists; one appointment; decisions that are being carried out.
_BESIDE_A_DAY = ("/desk", "/appointments", "/decisions")
_DOCTORS_PLACES = (
    ("/schedule", _l("My day"), "calendar-days"),
    ("/desk/booking", _l("New appointment"), "plus"),
    ("/schedule/hours", _l("Working hours"), "clock"),
    ("/schedule/time-off", _l("Time off"), "sun"),
    ("/doctors", _l("Find a time"), "magnifying-glass"),
)
_DESKS_PLACES = (
    ("/board", _l("Board"), "view-columns"),
    ("/desk/booking", _l("New appointment"), "plus"),
    ("/admin/appointments", _l("Appointments"), "calendar-days"),
    ("/admin/patients", _l("Patients"), "users"),
    ("/admin/messages", _l("Messages"), "envelope"),
    ("/doctors", _l("Find a time"), "magnifying-glass"),
)
_ADMINS_PLACES = (
    ("/admin", _l("Overview"), "home"),
    ("/board", _l("Board"), "view-columns"),
    ("/desk/booking", _l("New appointment"), "plus"),
    ("/admin/appointments", _l("Appointments"), "calendar-days"),
    ("/admin/patients", _l("Patients"), "users"),
    ("/admin/messages", _l("Messages"), "envelope"),
    ("/admin/reports", _l("Reports"), "chart-bar"),
    ("/admin/doctors", _l("Doctors"), "user-group"),
    ("/admin/visit-types", _l("Visit types"), "tag"),
    ("/admin/clinic", _l("Clinic"), "building-office-2"),
    ("/admin/closures", _l("Closures"), "no-symbol"),
    ("/admin/users", _l("Users"), "key"),
    ("/admin/audit", _l("Audit log"), "clipboard-document-list"),
    ("/doctors", _l("Find a time"), "magnifying-glass"),
)
_PLACES = {"doctor": _DOCTORS_PLACES, "receptionist": _DESKS_PLACES}
