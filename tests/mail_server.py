"""A real mail server for tests, which accepts mails or fails as mail servers do."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.processes import PATIENCE
from tests.servers import free_port

# What the server does with a mail: '' accepts it, a line is its answer, 'hang' never answers after DATA, and
# 'hang up' closes the connection there.
Verdict = Callable[[str], str]


class MailServer:
    """The mails that arrived, in order, and the server's address."""

    def __init__(self, verdict: Verdict, port: int) -> None:
        self.verdict = verdict
        self.port = port
        self.mails: list[EmailMessage] = []
        self.hanging = threading.Event()
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """The value for DOCKET_SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    def ids(self, recipient: str | None = None) -> list[str]:
        """The Message-IDs of the mails that arrived, for one recipient or for all."""
        return [str(mail["Message-ID"]) for mail in self.mails if recipient in (None, mail["To"])]

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's, like that of the next one.
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Refuse a recipient at once, if the verdict is an answer."""
        answer = self.verdict(address)
        if answer and not answer.startswith("hang"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Accept the mail, or leave the client waiting."""
        verdict = self.verdict(envelope.rcpt_tos[0])
        if verdict == "hang up":
            assert server.transport is not None
            cast(Any, server.transport).abort()
            return "451 gone"
        if verdict == "hang":
            self.hanging.set()
            self._loop = asyncio.get_running_loop()
            self._end = self._end or asyncio.Event()
            await self._end.wait()
            return "451 too late"
        self.mails.append(email.message_from_bytes(cast(bytes, envelope.content), policy=email.policy.default))
        return "250 OK"

    def let_go(self) -> None:
        """Answer the clients that are waiting."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)


@contextmanager
def mail_server(
    verdict: Verdict = lambda _recipient: "", *, port: int = 0, any_letter: bool = False
) -> Iterator[MailServer]:
    """A mail server on a port of this machine, until the block ends. With `any_letter` it offers SMTPUTF8."""
    server = MailServer(verdict, port or free_port())
    controller = Controller(
        server, hostname="127.0.0.1", port=server.port, ready_timeout=PATIENCE, enable_SMTPUTF8=any_letter
    )
    controller.start()
    try:
        yield server
    finally:
        server.let_go()
        controller.stop()
