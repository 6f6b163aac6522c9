"""Bulk actions with chosen appointments: a preview of the effect on each patient, and carrying it out; front desk."""

from __future__ import annotations

import secrets
from collections.abc import Sequence, Sized
from typing import NamedTuple

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments.booking import status_service
from webapp.appointments.messages import clinic_messages, notification_lists
from webapp.appointments.messages.appointment_messages import CLINIC_MESSAGE
from webapp.appointments.messages.clinic_messages import EarlierMessage
from webapp.appointments.messages.notification_lists import MessageReach
from webapp.appointments.schemas import AppointmentView
from webapp.auth.dependencies import DESK, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.forms import UNSENT
from webapp.core.optimistic_lock import NO_VERSION
from webapp.core.parsing import reference_in, whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.exceptions import AppError, Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.i18n import language, ngettext
from webapp.notifications.rendering import Rendered, render
from webapp.staff.appointments import selection
from webapp.staff.appointments.selection import ACTIONS, MOST_CHOSEN, CheckedAppointment, ChosenAppointment
from webapp.staff.desk.notification_lists_presenters import CALL_REASONS, CHANNELS, list_address
from webapp.staff.messages.previews import DEAD_KEYS

router = Router()

ADDRESS = "/admin/appointments/selection"
LIST = "/admin/appointments"
# The action if the address does not name one.
USUAL = "confirm"
# The longest text for patients, by action; a reason is only a part of its message.
LONGEST = {"cancel": 200, "message": clinic_messages.LONGEST}
LONGEST_MARK = 40


class SelectionRequest(NamedTuple):
    """The action and the typed text in a form. `once` marks the form, so that it counts once. `seen` are the words of
    which the user saw a preview. `warned_of` are references of patients who, as the page said, had a message within a
    day, and `again` of those who get this one, too.
    """

    action: str
    references: list[str]
    back: str
    words: str = ""
    once: str = ""
    seen: str = ""
    warned_of: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()


class RecentRecipient(NamedTuple):
    """A patient who had a message within a day, by one of the chosen appointments. `again`: they get this one, too."""

    appointment: AppointmentView
    earlier: EarlierMessage
    again: bool


class SelectionAnswer(NamedTuple):
    """The page's answer to an attempt: problems by reference, what was done, an error of the words, or why nothing was
    done.

    `list_href` leads to who was told.
    """

    problems: dict[str, str] = {}  # noqa: RUF012 - no one changes it
    said: str = ""
    error: str = ""
    trouble: str = ""
    list_href: str = ""
    status: int = 200


class Examples(NamedTuple):
    """The message as the first recipients get it; None if this channel carries no message."""

    email: Rendered | None
    sms: Rendered | None


@router.get(ADDRESS)
def preview(page: CurrentPage) -> Response:
    """The patients whom an action reaches, and those for whom it is not possible; front desk. The reading is logged."""
    actor = signed_in(page, *DESK)
    query = page.request.query_params
    return _show(
        page, actor, SelectionRequest(query.get("action", USUAL), query.getlist("chosen"), query.get("back", ""))
    )


@router.post(ADDRESS)
def carry_out(page: CurrentPage, sent: SentForm) -> Response:
    """Carry out the action with the appointments that the preview listed; front desk."""
    sent.texts.labels["words"] = _("Reason") if sent.get("action") == "cancel" else _("Message")
    actor = signed_in(page, *DESK)
    chosen = _chosen_in(sent)
    asked = SelectionRequest(
        str(sent.get("action", "")),
        [each.reference for each in chosen],
        str(sent.get("back", "")),
        str(sent.get("words", "")).replace("\r\n", "\n").strip(),
        str(sent.get("once", ""))[:LONGEST_MARK] or secrets.token_urlsafe(16),
        str(sent.get("seen", "")).replace("\r\n", "\n").strip(),
        frozenset(map(str, sent.getlist("warned"))),
        frozenset(map(str, sent.getlist("again"))),
    )
    _require_known(asked.action)
    _require_few(chosen)
    error = _wrong_with(asked)
    if UNSENT in sent:
        # The session had ended, so the form has to be sent again before anything is done.
        return _show(page, actor, asked._replace(seen=""))
    if error:
        return _show(page, actor, asked._replace(seen=""), SelectionAnswer(error=error, status=422))
    if asked.action == "message":
        return _send(page, actor, asked, sure=sent.get("step") == "send")
    page.close()
    result = selection.carry_out(
        page.database, actor, asked.action, chosen, words=asked.words, once=asked.once, now=page.now
    )
    list_href = list_address(result.list_id) if result.list_id is not None else ""
    said = _flash(asked.action, len(chosen) - len(result.failed))
    if not result.failed:
        return page.redirect(list_href or local_path(asked.back, default=LIST), flash=said)
    problems = {reference: error.message for reference, error in result.failed.items()}
    left = asked._replace(references=list(result.failed), once="")
    return _show(page, actor, left, SelectionAnswer(problems, said, list_href=list_href, status=409))


def _send(page: Page, actor: Actor, asked: SelectionRequest, *, sure: bool) -> Response:
    """Show the message, or write it if this very message was shown."""
    if not sure or asked.seen != asked.words:
        return _show(page, actor, asked._replace(seen=asked.words))
    checked = selection.check(page.session, actor, asked.action, asked.references, now=page.now)
    possible = [each.appointment for each in checked if not each.why_not]
    again = {each.patient_id for each in possible if each.reference in asked.again}
    left_out = {each.patient_id for each in possible if each.reference in asked.warned_of} - again
    ids = [each.id for each in possible if each.patient_id not in left_out]
    if not ids and left_out:
        trouble = _("All of them had a message in the last 24 hours. Tick who gets this one, too.")
        return _show(page, actor, asked, SelectionAnswer(trouble=trouble, status=422))
    try:
        outcome = page.write(clinic_messages.send, actor, ids, asked.words, once=asked.once, again=again, now=page.now)
    except AppError as error:
        return _show(page, actor, asked, SelectionAnswer(trouble=error.message, status=error.status))
    if outcome is None:
        made = notification_lists.list_of_form(page.session, asked.once)
        return page.redirect(LIST if made is None else list_address(made))
    said = ngettext(
        "The message to %(n)d patient is on its way.",
        "The messages to %(n)d patients are on their way.",
        outcome.patients,
    )
    if not outcome.messages:
        said = ngettext("%(n)d patient needs a call.", "%(n)d patients need a call.", outcome.patients)
    return page.redirect(list_address(outcome.list_id), flash=said % {"n": outcome.patients})


def _wrong_with(asked: SelectionRequest) -> str:
    longest = LONGEST.get(asked.action)
    if longest is None:
        return ""
    if not asked.words:
        return _("Write the message first.")
    if len(asked.words) > longest:
        return _("This is too long. Use up to %(max_length)d characters.") % {"max_length": longest}
    return ""


def _flash(action: str, done: int) -> str:
    words = {
        "confirm": ngettext("%(n)d appointment is confirmed.", "%(n)d appointments are confirmed.", done),
        "cancel": ngettext("%(n)d appointment is cancelled.", "%(n)d appointments are cancelled.", done),
        "restore": ngettext("%(n)d appointment is restored.", "%(n)d appointments are restored.", done),
    }
    return words[action] % {"n": done}


def _chosen_in(sent: FormData) -> list[ChosenAppointment]:
    """The appointments that a form names, each once, as `K7QM-2F9X.3` with the version that the user saw."""
    found: dict[str, ChosenAppointment] = {}
    for text in sent.getlist("chosen"):
        reference, _dot, version = str(text).partition(".")
        if reference_in(reference, surely=True):
            found.setdefault(
                reference.upper(), ChosenAppointment(reference.upper(), whole_number(version) or NO_VERSION)
            )
    return list(found.values())


def _show(page: Page, actor: Actor, asked: SelectionRequest, answer: SelectionAnswer | None = None) -> Response:
    """The preview; the reading is logged."""
    answer = answer or SelectionAnswer()
    _require_known(asked.action)
    _require_few(asked.references)
    references = [each.upper() for each in asked.references]
    checked = selection.check(page.session, actor, asked.action, references, now=page.now)
    left = [
        CheckedAppointment(each.appointment, answer.problems.get(each.appointment.reference) or each.why_not)
        for each in checked
    ]
    possible = [each.appointment for each in left if not each.why_not]
    reached = notification_lists.message_reach(page.session, actor, [each.id for each in possible])
    response = page.render(
        "staff/appointments/selection.html",
        status=answer.status,
        action=asked.action,
        possible=possible,
        reached={number: _reach_words(each) for number, each in reached.items()},
        patients=len({each.patient_id for each in possible}),
        unreached=_count_unreached(possible, reached),
        left=[each for each in left if each.why_not],
        back=local_path(asked.back, default=LIST),
        words=asked.words,
        longest=LONGEST.get(asked.action, 0),
        seen=asked.seen,
        recent=_recent(page, actor, asked, possible),
        once=asked.once or secrets.token_urlsafe(16),
        examples=_examples(page, actor, possible, asked) if asked.seen else None,
        answer=answer,
    )
    read = [each.appointment.id for each in checked]
    page.trace(status_service.record_listing, actor, read, now=page.now)
    return response


def _recent(
    page: Page, actor: Actor, asked: SelectionRequest, possible: Sequence[AppointmentView]
) -> list[RecentRecipient]:
    """The patients who had a message within a day, if another one is to be written, in order of their appointments."""
    if asked.action != "message":
        return []
    first = {each.patient_id: each for each in reversed(possible)}
    upcoming = clinic_messages.find_upcoming(page.session, actor, [each.id for each in possible], now=page.now)
    found = clinic_messages.recent_messages(page.session, upcoming, now=page.now)
    theirs = [each for each in possible if each.patient_id in found and each is first[each.patient_id]]
    return [RecentRecipient(each, found[each.patient_id], each.reference in asked.again) for each in theirs]


def _reach_words(reached: MessageReach) -> str:
    """'Email, Text message', or why the patient has to be called."""
    if reached.channels:
        return ", ".join(str(CHANNELS[each]) for each in reached.channels)
    return _("Call: %(why)s") % {"why": CALL_REASONS[reached.why]}


def _count_unreached(possible: Sequence[AppointmentView], reached: dict[int, MessageReach]) -> int:
    """How many patients no message reaches."""
    told = {each.patient_id for each in possible if reached[each.id].channels}
    return len({each.patient_id for each in possible} - told)


def _examples(page: Page, actor: Actor, possible: Sequence[AppointmentView], asked: SelectionRequest) -> Examples:
    """The message as the first recipients get it, with links that lead nowhere."""
    upcoming = clinic_messages.find_upcoming(page.session, actor, [each.id for each in possible], now=page.now)
    clinic = current_clinic(page)
    found: dict[str, Rendered] = {}
    for message in clinic_messages.addressed_messages(upcoming):
        channel = message.recipient.channel
        if channel not in found:
            values = clinic_messages.values_of(message, clinic, asked.words, now=page.now)
            found[channel] = render(
                CLINIC_MESSAGE,
                channel,
                message.recipient.address,
                values,
                base_url=page.base_url,
                keys=DEAD_KEYS,
                language=language(),
            )
    return Examples(found.get("email"), found.get("sms"))


def _require_known(action: str) -> None:
    if action not in ACTIONS:
        raise NotFound(_("This action does not exist."))


def _require_few(chosen: Sized) -> None:
    if len(chosen) > MOST_CHOSEN:
        raise Invalid(_("Choose at most %(most)d appointments at once.") % {"most": MOST_CHOSEN})
