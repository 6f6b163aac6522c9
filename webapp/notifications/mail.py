"""Hands e-mails to a mail server, over one connection as long as there are messages to send."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from webapp.core.clock import utc_now
from webapp.core.email_address import mailable
from webapp.core.tls import modern
from webapp.notifications.exceptions import NotAccepted, PermanentRefusal, ServerUnavailable, TemporaryRefusal
from webapp.notifications.rendering import Rendered

# For one answer of the server. A message needs at most ten, and all of them must fit into the lease of delivery.py.
TIMEOUT = 20
PORTS = {"smtp": 587, "smtp+starttls": 587, "smtps": 465}
# How the connection is protected, for the operator.
ENCRYPTION = {
    "smtp": "encrypted only if the server offers it; smtp+starttls:// would require it",
    "smtp+starttls": "always encrypted, by STARTTLS",
    "smtps": "always encrypted",
}


class MailServer(NamedTuple):
    """A mail server, as in `DOCKET_SMTP_URL`.

    `smtps` is encrypted from the first byte, `smtp+starttls` before any other command, and `smtp` if the server offers
    it or a password is sent.
    """

    scheme: str
    host: str
    port: int
    user: str
    password: str

    @property
    def is_safe(self) -> bool:
        """Whether nothing is ever sent unencrypted."""
        return self.scheme != "smtp" or bool(self.user)

    @property
    def safety(self) -> str:
        """How the connection is encrypted, for the operator."""
        return ENCRYPTION["smtp+starttls" if self.scheme == "smtp" and self.is_safe else self.scheme]

    @classmethod
    def from_url(cls, url: str) -> MailServer:
        """Read an address such as smtp://user:password@mail.example.org:587, which the settings have validated."""
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
        return cls(
            parts.scheme, parts.hostname or "", port, unquote(parts.username or ""), unquote(parts.password or "")
        )


class MailSender:
    """Hands e-mails to one server. Passwords are only sent encrypted."""

    outcome = "sent"

    def __init__(self, server: MailServer, mail_from: str, *, timeout: float = TIMEOUT) -> None:
        self.server = server
        self.mail_from = mail_from
        self.timeout = timeout
        self._smtp: smtplib.SMTP | None = None

    def send(self, recipient: str, message_id: str, message: Rendered) -> None:
        """Hand one e-mail over.

        Raises:
            PermanentRefusal: the server refuses this message or its address permanently. TemporaryRefusal: it refuses
            it now. ServerUnavailable: it accepts none of our messages now.
        """
        try:
            recipient = mailable(recipient)
        except ValueError as error:
            raise PermanentRefusal("mail_domain") from error
        mail = compose(recipient, message_id, message, mail_from=self.mail_from, now=utc_now())
        try:
            # A server may limit the messages of one connection, or close an idle one.
            if self._smtp is not None and not _answers(self._smtp):
                self._hang_up()
            if self._smtp is None:
                self._smtp = self._connect()
            self._smtp.send_message(mail, from_addr=self.mail_from, to_addrs=[recipient])
        except (OSError, smtplib.SMTPException) as error:
            self._hang_up()
            raise _error_for(error) from error

    def close(self) -> None:
        """Say goodbye to the server if we are connected."""
        if self._smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection without a goodbye, because a server that did not answer would make us wait again."""
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def _connect(self) -> smtplib.SMTP:
        server = self.server
        # Without a name for the greeting, smtplib asks the DNS for one, which may take very long.
        greeting = self.mail_from.rpartition("@")[2]
        if server.scheme == "smtps":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, greeting, timeout=self.timeout, context=modern(ssl.create_default_context())
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, greeting, timeout=self.timeout)
        try:
            smtp.ehlo_or_helo_if_needed()
            if server.scheme != "smtps" and (server.is_safe or smtp.has_extn("starttls")):
                smtp.starttls(context=modern(ssl.create_default_context()))
                smtp.ehlo()
            if server.user:
                smtp.login(server.user, server.password)
        except smtplib.SMTPNotSupportedError as error:
            smtp.close()
            raise ServerUnavailable("mail_login_unsafe") from error
        except (OSError, smtplib.SMTPException):
            smtp.close()
            raise
        return smtp


def _answers(smtp: smtplib.SMTP) -> bool:
    try:
        return smtp.noop()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def compose(recipient: str, message_id: str, message: Rendered, *, mail_from: str, now: datetime) -> EmailMessage:
    """The e-mail as it is sent: text, HTML, and events as an attached file.

    An event that invites or cancels is also an alternative to text and HTML, where calendar programs look for it.
    """
    mail = EmailMessage()
    local, _at, domain = mail_from.rpartition("@")
    mail["From"] = Address(_as_written(message.sender_name), local, domain)
    mail["To"] = _as_written(recipient)
    mail["Subject"] = _as_written(message.subject)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}@{domain}>"
    # This suppresses automatic replies.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    if message.method:
        mail.add_alternative(message.calendar, subtype="calendar", params={"method": message.method})
    if message.calendar:
        # Bytes go out as they are, with the line ends of RFC 5545. Their charset is named: a reader may assume ASCII.
        mail.add_attachment(
            message.calendar.encode(),
            maintype="text",
            subtype="calendar",
            filename="visit.ics",
            params={"charset": "utf-8"},
        )
    return mail


def _as_written(text: str) -> str:
    """Text for a header, taken literally.

    The library decodes `=?…?=` as an encoded word, which can contain a line break: a name in that form could add
    headers and a body.
    """
    return text.replace("=?", "= ?")


def _error_for(error: OSError | smtplib.SMTPException) -> NotAccepted:
    """The error for an answer of the mail server: whether it concerns this message, or all that wait behind it."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            return _by_code(*next(iter(refused.values())))
        case smtplib.SMTPDataError(smtp_code=code, smtp_error=answer):
            return _by_code(code, answer)
        case smtplib.SMTPNotSupportedError():
            return PermanentRefusal("mail_address")
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=answer):
            # The server refuses us and not this message: our sender's address, our password, our connection.
            return ServerUnavailable("mail_login", _answer_text(code, answer))
        case ssl.SSLError():
            return ServerUnavailable("mail_unsafe")
        case ConnectionRefusedError():
            return ServerUnavailable("mail_refused")
        case smtplib.SMTPServerDisconnected() if not isinstance(error.__context__, TimeoutError):
            return ServerUnavailable("mail_broken_off")
        case TimeoutError() | smtplib.SMTPServerDisconnected():
            return ServerUnavailable("mail_late")
    return ServerUnavailable("mail_away")


def _by_code(code: int, answer: bytes | str) -> NotAccepted:
    """RFC 5321, section 4.2.1: 4xx may succeed later, 5xx will not; 421 closes the connection."""
    kind = ServerUnavailable if code == 421 else PermanentRefusal if code >= 500 else TemporaryRefusal
    return kind("mail_answered", _answer_text(code, answer))


def _answer_text(code: int, answer: bytes | str) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    # PostgreSQL cannot store a NUL, so the refusal itself could not be recorded.
    return " ".join("".join(letter if letter.isprintable() else " " for letter in f"{code} {text}").split())
