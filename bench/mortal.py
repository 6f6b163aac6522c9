"""Workers that die: `python -m bench.mortal STEP COUNT` starts that many, each of which kills itself at this step.

They have the settings of the environment. Each is a process of its own, forked from this one, which has imported
everything already and has no threads; it ends as by `kill -9`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy.orm import Session

from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.notifications.delivery import Claimed, Courier, mark
from webapp.worker import mail_sender, writer

CLAIM, BEFORE_SEND, AFTER_SEND, BEFORE_MARK = STEPS = ("claim", "before-send", "after-send", "before-mark")


def die() -> None:
    """What nobody can catch."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalCourier(Courier):
    """A courier that dies at one step of its first message."""

    step = ""

    def _claim(self, session: Session) -> Claimed | None:
        claimed = super()._claim(session)
        # The claim is written and not committed.
        if self.step == CLAIM:
            die()
        return claimed

    def send(self, claimed: Claimed) -> None:
        if self.step == BEFORE_SEND:
            die()
        super().send(claimed)
        if self.step == AFTER_SEND:
            die()

    def _mark(self, claimed: Claimed, **values: Any) -> None:
        def mark_and_die(session: Session) -> None:
            mark(session, claimed, worker=self.name, now=self.clock(), **values)
            # The mark is written and not committed.
            if self.step == BEFORE_MARK:
                die()

        self.database.write(mark_and_die)


def main() -> int:
    """Start the workers one after the other; 0 when each found a message and died of it."""
    step, count = sys.argv[1], int(sys.argv[2])
    settings = Settings()
    for _ in range(count):
        child = os.fork()
        if child == 0:
            database = Database(settings.database_url)
            write_out = writer(settings, "email", base_url="http://127.0.0.1")
            courier = MortalCourier(
                database, "email", mail_sender(settings), name=f"{os.getpid()}", clock=utc_now, write_out=write_out
            )
            courier.step = step
            courier.deliver_next()
            os._exit(1)
        _child, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
