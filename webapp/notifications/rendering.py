"""Renders messages: the subject, text and HTML of an e-mail, or the words of a text message.

Templates are in `templates/notifications`. An e-mail has two: `booked.html`, in which everything is escaped, and
`booked.txt`, in which nothing is; its first line is the subject. A text message is `booked.sms.txt`. Links are signed
here, when a message is sent, so that none of them is stored in the database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import jinja2

from webapp.config import resource_folder
from webapp.core import formats
from webapp.core.calendar_events import CalendarEvent
from webapp.core.codes import REASONS
from webapp.core.names import before_stop
from webapp.core.signing import number_of, sign
from webapp.core.templates import template_environment
from webapp.i18n import ENGLISH, Language, gettext, language_tag, ngettext, speaking
from webapp.notifications.outbox import LINK

if TYPE_CHECKING:
    from css_inline import CSSInliner

# A server seldom renders a message, and never before its first request, so it imports the libraries for style sheets
# and calendars (5 MiB) only where they are used.

FOLDER = "notifications"
# These values keep their line breaks. All others become one line, because a name could begin a new header or paragraph.
LINES_KEPT = {"preparation", "said"}
# Errors of rendering when a template is missing, or a message has values of an older release.
NOT_RENDERABLE = (jinja2.TemplateError, LookupError, TypeError, ValueError)
# Parts of a template that are left out leave blank lines behind.
_BLANK = re.compile(r"\n\s*\n")


class Rendered(NamedTuple):
    """A message as it is sent, in one language; unused parts are ''. `calendar` is an .ics file with this `method`."""

    sender_name: str
    subject: str
    text: str
    html: str
    calendar: str
    method: str
    language: str = "en"


def render(
    template: str,
    channel: str,
    recipient: str,
    values: dict[str, Any],
    *,
    base_url: str,
    keys: Sequence[str],
    sender: str = "",
    language: Language = ENGLISH,
) -> Rendered:
    """Render a message in its recipient's `language`, which may differ from the current reader's.

    `values` are those of the outbox; instants in them are ISO text. `sender` is the address that an e-mail comes from;
    it is also the organizer of the event in it.

    Templates have `url(path)`, `signed(purpose, value)` for addresses that identify the client, `number_of(purpose,
    nonce, digits=…)` for codes, and filters that show instants in the zone of `clinic.time_zone`.

    Raises:
        jinja2.TemplateNotFound: there is no such message, or not for this channel.
        jinja2.UndefinedError: a value that the template needs is missing.
    """
    with speaking(language):
        clinic = values["clinic"]
        values = {**values, "clinic": {**clinic, "name": formats.clinic_name(clinic["name"])}}
        return _render(template, channel, recipient, values, base_url=base_url, keys=keys, sender=sender)


def _render(
    template: str,
    channel: str,
    recipient: str,
    values: dict[str, Any],
    *,
    base_url: str,
    keys: Sequence[str],
    sender: str,
) -> Rendered:
    said = {name: value for name, value in values.items() if name != "calendar"}
    context = {
        **_readable(said),
        "recipient": recipient,
        "url": lambda path: f"{base_url}{path}",
        "signed": partial(sign, keys),
        "number_of": partial(number_of, keys),
    }
    if channel == "sms":
        words = text_environment().get_template(f"{template}.sms.txt").render(context)
        return Rendered(values["clinic"]["name"], "", " ".join(words.split()), "", "", "", language_tag())
    subject, _newline, text = text_environment().get_template(f"{template}.txt").render(context).strip().partition("\n")
    subject = " ".join(subject.split())
    html = _pages().get_template(f"{FOLDER}/{template}.html").render(context, subject=subject)
    calendar, method = _calendar(values, recipient, sender, base_url=base_url, keys=keys)
    text = _BLANK.sub("\n\n", text.strip()) + "\n"
    return Rendered(values["clinic"]["name"], subject, text, _styled(html), calendar, method, language_tag())


def _calendar(
    values: dict[str, Any], recipient: str, sender: str, *, base_url: str, keys: Sequence[str]
) -> tuple[str, str]:
    """The events of an e-mail as an .ics file, and its method; ('', '') without events."""
    calendar = values.get("calendar")
    if not calendar:
        return "", ""
    from webapp.core.icalendar import calendar_text

    # Messages of older releases may say PUBLISH, which needs an organizer.
    method, clinic = calendar["method"].replace("PUBLISH", ""), values["clinic"]
    # An event that is only shown has neither an attendee nor an organizer.
    people = {"attendee_email": recipient, "organizer_email": sender, "organizer_name": clinic["name"]}
    events = []
    visits = _readable(values.get("visits") or [values["visit"]])
    words = text_environment().get_template("visit.event.txt")
    for visit, told in zip(visits, calendar["events"], strict=True):
        path, purpose, value = told["link"]
        address = f"{base_url}{path}{sign(keys, purpose, value)}"
        said = {
            name: each.replace(LINK, address) if isinstance(each, str) else each for name, each in told["event"].items()
        }
        summary, _newline, description = words.render(visit=visit, clinic=clinic, address=address).partition("\n")
        said |= {"summary": summary, "description": description.strip()}
        events.append(CalendarEvent.model_validate(said | people if method else said))
    return calendar_text(events, zone=ZoneInfo(clinic["time_zone"]), method=method), method


def _readable(value: Any, *, lines_kept: bool = False) -> Any:
    """The values without invisible characters, each on one line."""
    if isinstance(value, dict):
        return {name: _readable(each, lines_kept=name in LINES_KEPT) for name, each in value.items()}
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if not isinstance(value, str):
        return value
    lines = [" ".join("".join(map(_seen, line)).split()) for line in value.splitlines()]
    return "\n".join(lines) if lines_kept else " ".join(lines)


def _seen(letter: str) -> str:
    """The character, or a space instead of an invisible one that moves the cursor."""
    return " " if unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} else letter


def _styled(html: str) -> str:
    """The document with inline styles, for mail programs that do not read style sheets.

    Colours for dark mode cannot be inline, so they go into the head.
    """
    return _inliner().inline(html).replace("</head>", f"<style>{_stylesheet('mail-dark.css')}</style></head>", 1)


@lru_cache
def _inliner() -> CSSInliner:
    from css_inline import CSSInliner

    return CSSInliner(
        inline_style_tags=False,
        load_remote_stylesheets=False,
        extra_css=_stylesheet("mail.css"),
        apply_width_attributes=True,
    )


def _stylesheet(name: str) -> str:
    return Path(resource_folder("static") / "css" / name).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ environments


@lru_cache
def _pages() -> jinja2.Environment:
    """The environment for HTML, as for all pages: everything is escaped."""
    return _with_filters(template_environment())


@lru_cache
def text_environment() -> jinja2.Environment:
    """The environment for plain text. It escapes nothing, so it only loads the .txt files of messages."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read_text),
        autoescape=False,  # noqa: S701 - no browser reads it as HTML.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    return _with_filters(environment)


def _read_text(name: str) -> str | None:
    path = Path(resource_folder("templates") / FOLDER / name)
    return path.read_text(encoding="utf-8") if name == path.name and path.suffix == ".txt" and path.is_file() else None


def _with_filters(environment: jinja2.Environment) -> jinja2.Environment:
    for show in (formats.clock, formats.day_full, formats.day_long, formats.full_instant):
        environment.filters[show.__name__] = _in_clinic_zone(show)
    environment.filters["zone_label"] = lambda key: formats.zone_label(ZoneInfo(key))
    environment.filters["minutes"] = formats.minutes
    environment.filters["reason"] = REASONS.words
    environment.filters["before_stop"] = before_stop
    return environment


def _in_clinic_zone(show: Callable[[datetime, ZoneInfo], str]) -> Callable[[jinja2.runtime.Context, str], str]:
    @jinja2.pass_context
    def shown(context: jinja2.runtime.Context, instant: str) -> str:
        return show(datetime.fromisoformat(instant), ZoneInfo(context["clinic"]["time_zone"]))

    return shown
