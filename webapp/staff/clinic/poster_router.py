"""The poster with which patients say that they are here: printing it, and making it invalid; admins."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic import poster
from webapp.clinic.dependencies import current_clinic
from webapp.core.qr_codes import draw_qr_code
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, SentForm
from webapp.i18n import gettext as _

router = Router()

HERE = "/admin/clinic/poster"


@router.get(HERE)
def show_poster(page: CurrentPage) -> Response:
    """The poster as it is printed, if there is one; admins."""
    signed_in(page, "admin")
    key = current_clinic(page).poster_key
    address = f"{page.base_url}/here/{key}" if key else ""
    return page.render(
        "staff/clinic/poster.html",
        address=address,
        picture=draw_qr_code(address) if address else None,
        minutes=int(poster.SCAN_LIFETIME.total_seconds()) // 60,
    )


@router.post(HERE)
def change_poster(page: CurrentPage, sent: SentForm) -> Response:
    """Make a poster with a new code, or make all posters invalid; admins."""
    actor = signed_in(page, "admin")
    if sent.get("end"):
        page.write(poster.end, actor, now=page.now)
        return page.redirect(HERE, flash=_("Check-in by poster is off. Take down the printed posters."))
    replaces = bool(current_clinic(page).poster_key)
    page.write(poster.renew, actor, now=page.now)
    if not replaces:
        return page.redirect(HERE, flash=_("The poster is ready. Print it, and put it up where patients come in."))
    return page.redirect(HERE, flash=_("The poster has a new code. Print it and replace the old posters."))
