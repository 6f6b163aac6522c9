"""Handing text messages to a gateway over HTTP: any that takes a POST, as the settings describe it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import httpx2

from webapp.notifications.exceptions import NeverTaken, NotTakenNow, ServerAway
from webapp.notifications.rendering import Rendered

# For connecting, sending and each piece of the answer, of which one is read.
TIMEOUT = 20
_QUOTES = {'"': "&quot;", "'": "&apos;"}
# How a value is written into a body of each kind that the settings allow, so that no text can end its field.
ESCAPES: dict[str, Callable[[str], str]] = {
    "application/json": lambda value: json.dumps(value)[1:-1],
    "application/x-www-form-urlencoded": quote_plus,
    "application/xml": lambda value: escape(value, _QUOTES),
    "text/xml": lambda value: escape(value, _QUOTES),
}
# Whoever gets these answers is not known, asks too often, or finds nobody there; that says nothing of the message.
_SAYS_NOTHING_OF_IT = {401, 402, 403, 404, 405, 407, 408, 425, 429, 502, 503, 504}
_PLACE = re.compile(r"\{(to|text|id)\}")
# The zero in brackets is dialled only where the country's code is not.
_NOT_DIALLED = re.compile(r"(?<=\d)\s*\(0\)|[^0-9+]")


class SmsSender:
    """Hands text messages to one gateway.

    In `body` stand `{to}`, `{text}` and `{id}`; the id is the same in every try, for gateways that tell repeats.
    """

    outcome = "sent"

    def __init__(
        self, url: str, headers: Mapping[str, str], body: str, media_type: str, *, timeout: float = TIMEOUT
    ) -> None:
        self.url = url
        self.headers = {"content-type": media_type, **{name.lower(): each for name, each in headers.items()}}
        self.body = body
        self._escape = ESCAPES[media_type]
        self.timeout = timeout

    def send(self, recipient: str, message_id: str, message: Rendered) -> None:
        """Hand one text message over.

        Raises:
            NeverTaken: the gateway refuses it for good. NotTakenNow: it refuses it now.
            ServerAway: it takes none of our messages now.
        """
        values = {"to": _NOT_DIALLED.sub("", recipient), "text": message.text, "id": message_id}
        body = _PLACE.sub(lambda place: self._escape(values[place[1]]), self.body)
        try:
            # Nobody is led elsewhere with a patient's message.
            answer = httpx2.post(
                self.url, content=body.encode(), headers=self.headers, timeout=self.timeout, follow_redirects=False
            )
        except httpx2.TimeoutException as error:
            raise ServerAway("sms_late") from error
        except httpx2.HTTPError as error:
            raise ServerAway("sms_away") from error
        if answer.is_success:
            return
        # What else it says may hold the message itself, or our password.
        said = "sms_answered", str(answer.status_code)
        if answer.status_code in _SAYS_NOTHING_OF_IT or answer.is_redirect:
            raise ServerAway(*said)
        raise NeverTaken(*said) if answer.is_client_error else NotTakenNow(*said)

    def close(self) -> None:
        """There is nothing to let go of: each message has a connection of its own."""
