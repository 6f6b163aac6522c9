"""Previews of messages, for admins: what patients will read, with example values. These pages send nothing."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core.routing import Router
from webapp.core.security import DOCUMENT_HEADERS, FRAMING
from webapp.core.web import CurrentPage, Page
from webapp.notifications.outbox import Channel
from webapp.notifications.rendering import Rendered
from webapp.staff.messages import previews
from webapp.staff.messages.previews import MessageKind

router = Router()


@router.get("/admin/messages/previews")
def show_previews(page: CurrentPage) -> Response:
    """Every kind of message; admins."""
    signed_in(page, "admin")
    return page.render("staff/messages/previews.html", kinds=previews.KINDS)


@router.get("/admin/messages/previews/{kind}")
def show_preview(page: CurrentPage, kind: str) -> Response:
    """One kind of message as an e-mail and as a text message, with example values; admins."""
    signed_in(page, "admin")
    found = previews.find_kind(kind)
    return page.render(
        "staff/messages/preview.html",
        headers=FRAMING,
        kind=found,
        mail=_render(page, found, "email"),
        sms=_render(page, found, "sms").text if "sms" in found.channels else "",
    )


@router.get("/admin/messages/previews/{kind}/document")
def show_preview_document(page: CurrentPage, kind: str) -> Response:
    """The e-mail's document alone, as mail programs show it; admins."""
    signed_in(page, "admin")
    mail = _render(page, previews.find_kind(kind), "email")
    return HTMLResponse(mail.html, headers=DOCUMENT_HEADERS)


def _render(page: Page, kind: MessageKind, channel: Channel) -> Rendered:
    return previews.write_example(kind, channel, current_clinic(page), base_url=page.base_url, now=page.now)
