"""Messages, for the front desk: the state and the text of each, and sending undelivered ones again."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

from webapp.auth.dependencies import DESK, signed_in
from webapp.auth.schemas import Actor
from webapp.core.pagination import Neighbours, cut_newest_first, newest_first
from webapp.core.routing import Router
from webapp.core.security import DOCUMENT_HEADERS, FRAMING
from webapp.core.signing import sign, unsign
from webapp.core.web import CurrentPage, Page, PathId
from webapp.exceptions import AppError, Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.notifications import queries as outbox
from webapp.notifications.queries import StoredMessage
from webapp.staff.messages import log as messages
from webapp.staff.messages import retry as messages_again
from webapp.staff.messages.forms import CHANNELS, MessageFilterForm
from webapp.staff.messages.log import MessageLine, MessageSearch, RenderedMessage

router = Router()

PAGE_SIZE = 50
# Opening a message's page is logged; with this signature its document is not logged again.
READ_PURPOSE = "message-read"


@router.get("/admin/messages")
def list_messages(page: CurrentPage) -> Response:
    """Every message that the actor may see, the newest first; front desk."""
    actor = signed_in(page, *DESK)
    query = page.request.query_params
    form = MessageFilterForm.of_address(query)
    try:
        wanted = messages.resolve(page.session, actor, form.search())
    except Invalid as error:
        form.add_error(error)
        return _list_page(page, form, [], Neighbours(), status=422)
    cursor = newest_first(query)
    found = outbox.list_messages(page.session, wanted, cursor=cursor, now=page.now, limit=PAGE_SIZE + 1)
    shown, neighbours = cut_newest_first(found, cursor, PAGE_SIZE, "/admin/messages", **form.filters_in_address())
    page.trace(messages.record_listing, actor, [each.id for each in shown], now=page.now)
    return _list_page(page, form, messages.list_lines(page.session, shown), neighbours)


@router.get("/admin/messages/sending")
def ask_send_all_again(page: CurrentPage) -> Response:
    """Describe the effect of sending all undelivered messages again; admins."""
    signed_in(page, "admin")
    outcome = messages_again.count_resendable(page.session, now=page.now)
    return page.render("staff/messages/again.html", outcome=outcome, most=messages_again.MOST_AT_ONCE)


@router.post("/admin/messages/sending")
def send_all_again(page: CurrentPage) -> Response:
    """Send undelivered messages again that failed lately and are still true; admins."""
    actor = signed_in(page, "admin")
    outcome = page.write(messages_again.send_all_again, actor, now=page.now)
    said = ngettext("%(n)d message will be sent again.", "%(n)d messages will be sent again.", outcome.again)
    return page.redirect("/admin/messages", flash=said % {"n": outcome.again})


@router.get("/admin/messages/{message_id}")
def show_message(page: CurrentPage, message_id: PathId) -> Response:
    """One message in full; front desk, and the reading is logged."""
    actor = signed_in(page, *DESK)
    return _message_page(page, actor, messages.get_message(page.session, actor, message_id))


@router.get("/admin/messages/{message_id}/document")
def show_document(page: CurrentPage, message_id: PathId) -> Response:
    """The e-mail's document alone, as mail programs show it; front desk. The reading is logged, unless its page did."""
    actor = signed_in(page, *DESK)
    message = messages.get_message(page.session, actor, message_id)
    rendered = _render(page, message).rendered
    if rendered is None or not rendered.html:
        raise NotFound(_("This message has no HTML part."))
    read = unsign(page.settings.secret_keys, READ_PURPOSE, page.request.query_params.get("read", ""))
    if read != [message_id, actor.user_id]:
        page.trace(messages.record_reading, actor, message, now=page.now)
    return HTMLResponse(rendered.html, headers=DOCUMENT_HEADERS)


@router.post("/admin/messages/{message_id}/sending")
def send_again(page: CurrentPage, message_id: PathId) -> Response:
    """Send an undelivered message again; front desk."""
    actor = signed_in(page, *DESK)
    try:
        page.write(messages_again.send_again, actor, message_id, now=page.now)
    except NotFound:
        raise
    except AppError as error:
        message = messages.get_message(page.session, actor, message_id)
        return _message_page(page, actor, message, problem=error.message, status=error.status)
    return page.redirect(f"/admin/messages/{message_id}", flash=_("The message will be sent again."))


def _list_page(
    page: Page, form: MessageFilterForm, lines: list[MessageLine], neighbours: Neighbours, *, status: int = 200
) -> Response:
    return page.render(
        "staff/messages/list.html",
        status=status,
        form=form,
        lines=lines,
        neighbours=neighbours,
        filtered=any(form.search()),
        all_dead=form.search() == MessageSearch(state="dead"),
        channels=CHANNELS,
        mail_kept=not page.settings.smtp_url,
    )


def _message_page(
    page: Page, actor: Actor, message: StoredMessage, *, problem: str = "", status: int = 200
) -> Response:
    preview = _render(page, message)
    limit = None
    if message.status == "dead":
        limit = messages_again.find_limits(page.session, [message], now=page.now)[message.id]
    response = page.render(
        "staff/messages/message.html",
        status=status,
        headers=FRAMING,
        message=message,
        title=messages.title_of(message.template),
        badge=messages.badge_of(message),
        about=messages.subject_of(page.session, message),
        channel=CHANNELS[message.channel],
        steps=messages.timeline_of(message),
        preview=preview,
        document=_document(page, actor, message),
        limit=limit,
        problem=problem,
    )
    page.trace(messages.record_reading, actor, message, now=page.now)
    return response


def _render(page: Page, message: StoredMessage) -> RenderedMessage:
    return messages.write_out(message, page.settings, base_url=page.base_url)


def _document(page: Page, actor: Actor, message: StoredMessage) -> str:
    """The address of the e-mail's document, for the reader of its page."""
    read = sign(page.settings.secret_keys, READ_PURPOSE, [message.id, actor.user_id])
    return f"/admin/messages/{message.id}/document?read={read}"
