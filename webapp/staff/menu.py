"""Where staff can go: the menu of doctors and of admins, in the order of their day."""

from __future__ import annotations

from typing import NamedTuple

from webapp.auth.schemas import Role
from webapp.core.i18n import gettext as _


class Place(NamedTuple):
    """One line of the menu; `current` marks where we are."""

    href: str
    text: str
    icon: str
    current: bool


def staff_places(role: Role, path: str) -> list[Place]:
    """The menu of somebody with this role who looks at `path`: the longest address that leads there is current."""
    places = _DOCTORS_PLACES if role == "doctor" else _ADMINS_PLACES
    fitting = [href for href, _text, _icon in places if path == href or path.startswith(f"{href.rstrip('/')}/")]
    here = max(fitting, key=len, default="")
    return [Place(href, text, icon, href == here) for href, text, icon in places]


_DOCTORS_PLACES = (
    ("/schedule", _("My day"), "calendar-days"),
    ("/schedule/hours", _("Working hours"), "clock"),
    ("/schedule/time-off", _("Time off"), "sun"),
    ("/doctors", _("Find a time"), "magnifying-glass"),
)
_ADMINS_PLACES = (
    ("/admin", _("Overview"), "home"),
    ("/admin/appointments", _("Appointments"), "calendar-days"),
    ("/admin/patients", _("Patients"), "users"),
    ("/admin/messages", _("Messages"), "envelope"),
    ("/admin/doctors", _("Doctors"), "user-group"),
    ("/admin/visit-types", _("Visit types"), "tag"),
    ("/admin/clinic", _("Clinic"), "building-office-2"),
    ("/admin/closures", _("Closures"), "no-symbol"),
    ("/admin/users", _("Users"), "key"),
    ("/admin/audit", _("Audit log"), "clipboard-document-list"),
    ("/doctors", _("Find a time"), "magnifying-glass"),
)
