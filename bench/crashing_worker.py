"""Workers that crash: each delivers one message and kills itself with SIGKILL at one step of that."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from tests.servers import SECRET_KEY
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database
from webapp.notifications.delivery import ClaimedMessage, Courier, mark
from webapp.worker import mail_sender, writer

CLAIM, BEFORE_SEND, AFTER_SEND, BEFORE_MARK = STEPS = ("claim", "before-send", "after-send", "before-mark")
MAIL_FROM = "booking@clinic.example"


def crash() -> None:
    """End this process with a signal that cannot be caught."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingCourier(Courier):
    """A courier that crashes at one step of its first message."""

    step = ""

    def _claim(self, session: Session, *, now: datetime) -> ClaimedMessage | None:
        claimed = super()._claim(session, now=now)
        # The claim is written and not committed.
        if self.step == CLAIM:
            crash()
        return claimed

    def send(self, claimed: ClaimedMessage) -> None:
        if self.step == BEFORE_SEND:
            crash()
        super().send(claimed)
        if self.step == AFTER_SEND:
            crash()

    def _mark(self, claimed: ClaimedMessage, **values: Any) -> None:
        def mark_and_crash(session: Session) -> None:
            mark(session, claimed, worker=self.name, now=self.clock(), **values)
            # The mark is written and not committed.
            if self.step == BEFORE_MARK:
                crash()

        self.database.write(mark_and_crash)


def run(step: str, database_url: str, smtp_url: str) -> None:
    """Run a worker until this step of its first message; call this in a separate process."""
    settings = Settings(database_url=database_url, smtp_url=smtp_url, mail_from=MAIL_FROM, secret_key=SECRET_KEY)
    database = wired_database(settings.database_url)
    write_out = writer(settings, "email", base_url="http://127.0.0.1")
    courier = CrashingCourier(
        database, "email", mail_sender(settings), name=f"{os.getpid()}", clock=utc_now, write_out=write_out
    )
    courier.step = step
    courier.deliver_next()
