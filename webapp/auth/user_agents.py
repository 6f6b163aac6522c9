"""A name for a browser by which its owner recognises it."""

from __future__ import annotations

from webapp.i18n import gettext as _

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)


def names_in(user_agent: str) -> tuple[str, str]:
    """'Firefox' and 'Linux', or '' for others. Browsers name each other, so the order of the tables matters."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return browser, system


def device_name(user_agent: str) -> str:
    """'Firefox on Linux'."""
    browser, system = names_in(user_agent)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Another app")
