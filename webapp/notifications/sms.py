"""Hands text messages to a gateway over HTTP: the settings describe the POST that it expects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import httpx2

from webapp.core.phones import dialled
from webapp.core.tls import cached_context
from webapp.notifications.exceptions import PermanentRefusal, ServerUnavailable, TemporaryRefusal
from webapp.notifications.rendering import Rendered

# The time-out for connecting, sending and reading the first piece of the answer.
TIMEOUT = 20
_QUOTES = {'"': "&quot;", "'": "&apos;"}
# How a value is escaped in each kind of body that the settings allow, so that no text can end its field.
ESCAPES: dict[str, Callable[[str], str]] = {
    "application/json": lambda value: json.dumps(value)[1:-1],
    "application/x-www-form-urlencoded": quote_plus,
    "application/xml": lambda value: escape(value, _QUOTES),
    "text/xml": lambda value: escape(value, _QUOTES),
}
# These answers are about the client, its rate or the gateway itself, and say nothing about the message.
_NOT_ABOUT_THE_MESSAGE = {401, 402, 403, 404, 405, 407, 408, 425, 429, 502, 503, 504}
_PLACE = re.compile(r"\{(to|text|id)\}")


class SmsSender:
    """Hands text messages to one gateway.

    `body` contains `{to}`, `{text}` and `{id}`; the id is the same in every try, so that gateways can detect repeats.
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
            PermanentRefusal: the gateway refuses it permanently. TemporaryRefusal: it refuses it now.
            ServerUnavailable: it takes none of our messages now.
        """
        values = {"to": dialled(recipient), "text": message.text, "id": message_id}
        body = _PLACE.sub(lambda place: self._escape(values[place[1]]), self.body)
        try:
            # Redirects are not followed: they could send a patient's message to another host.
            answer = httpx2.post(
                self.url,
                content=body.encode(),
                headers=self.headers,
                timeout=self.timeout,
                follow_redirects=False,
                verify=cached_context(httpx2.create_ssl_context),
            )
        except httpx2.TimeoutException as error:
            raise ServerUnavailable("sms_late") from error
        except httpx2.HTTPError as error:
            raise ServerUnavailable("sms_away") from error
        if answer.is_success:
            return
        # The rest of the answer may contain the message itself, or our password.
        said = "sms_answered", str(answer.status_code)
        if answer.status_code in _NOT_ABOUT_THE_MESSAGE or answer.is_redirect:
            raise ServerUnavailable(*said)
        raise PermanentRefusal(*said) if answer.is_client_error else TemporaryRefusal(*said)

    def close(self) -> None:
        """Nothing to close: each message has its own connection."""
