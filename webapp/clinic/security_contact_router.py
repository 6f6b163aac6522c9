"""`security.txt` (RFC 9116): where to report a vulnerability of this installation."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import PlainTextResponse, Response

from webapp.clinic.service import get_clinic
from webapp.core.phones import dialled
from webapp.core.routing import Router
from webapp.core.web import CurrentPage
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

router = Router()

ADDRESS = "/.well-known/security.txt"
# The file is made for each request, so this only says for how long a copy is valid.
VALID_FOR = timedelta(days=90)


@router.get(ADDRESS)
def show_security_contact(page: CurrentPage) -> Response:
    """The address to report to: the contact in the settings, else the clinic's telephone; everyone."""
    number = dialled(get_clinic(page.session).phone)
    contacts = page.settings.security_contact or ((f"tel:{number}",) if number else ())
    if not contacts:
        raise NotFound(_("There is no contact for reports about security."))
    lines = [
        *(f"Contact: {contact}" for contact in contacts),
        f"Expires: {(page.now + VALID_FOR).strftime('%Y-%m-%dT00:00:00Z')}",
        "Preferred-Languages: en",
        f"Canonical: {page.base_url}{ADDRESS}",
    ]
    if page.settings.security_policy:
        lines.append(f"Policy: {page.settings.security_policy}")
    return PlainTextResponse("".join(f"{line}\n" for line in lines))
