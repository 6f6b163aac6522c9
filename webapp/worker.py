"""The worker: it delivers messages, writes the reminders that are due, and tidies up. Several may run at once.

`docket worker` is one, and `docket serve` starts another beside it, so that nobody has to think of it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import wait
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.appointments.messages import reminders, visit_messages
from webapp.clinic.service import get_clinic
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.core.logging import configure_logging
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError
from webapp.idempotency import service
from webapp.notifications import delivery
from webapp.notifications.delivery import Courier, Sender
from webapp.notifications.exceptions import ServerAway
from webapp.notifications.file_sender import FOLDER, FileSender
from webapp.notifications.mail import MailSender, MailServer
from webapp.notifications.outbox import Channel
from webapp.notifications.rendering import Rendered, render
from webapp.notifications.sms import SmsSender

logger = logging.getLogger(__name__)

# Seconds between two looks into the outbox, between two rounds of everything else, and at most after a failure.
LOOK_EVERY, ROUND_EVERY, LONGEST_REST = 1.0, 60.0, 60.0
# A message that is being handed over when a server stops has so long to arrive.
SECONDS_TO_END = 15
# How far it stands back where processors are scarce, on the scale of nice(1).
POLITENESS = 10
# One that dies at its very start must not keep the machine busy with its successors.
SECONDS_BETWEEN = 3


class Worker:
    """Everything that happens without anybody asking: a thread for each channel, and one for the rest.

    `base_url` is where links in messages lead. Settings decide whether messages are sent or kept as files.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        base_url: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.database = database
        self.clock = clock
        self.stopping = threading.Event()
        name = f"{socket.gethostname()[:30]}:{os.getpid()}"
        senders: dict[Channel, Sender] = {"email": mail_sender(settings), "sms": sms_sender(settings)}
        self.couriers = [
            Courier(
                database,
                channel,
                sender,
                name=name,
                clock=clock,
                write_out=writer(settings, channel, base_url=base_url),
                earliest=_in_daytime if channel == "sms" else None,
            )
            for channel, sender in senders.items()
        ]

    def run(self) -> None:
        """Work until `stopping` is set; what was begun is brought to its end."""
        threads = [threading.Thread(target=self._deliver, args=(courier,)) for courier in self.couriers]
        threads.append(threading.Thread(target=self._tidy))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _deliver(self, courier: Courier) -> None:
        """Deliver the messages of one channel. While a server is away, it is left in peace, longer each time."""
        failures = 0
        while not self.stopping.is_set():
            try:
                went_on = courier.deliver_next()
                failures = 0
            except ServerAway as away:
                failures += 1
                logger.warning("No %s is taken now: %s", courier.channel, away)
            except (SQLAlchemyError, AppError) as error:
                failures += 1
                logger.warning("The outbox cannot be read or written: %s", type(error).__name__)
            except Exception:
                # Nobody would notice a thread that has ended.
                failures += 1
                logger.exception("Delivering %s failed", courier.channel)
            if failures:
                courier.sender.close()
                self.stopping.wait(min(2.0**failures, LONGEST_REST))
            elif not went_on:
                courier.sender.close()
                self.stopping.wait(LOOK_EVERY)
        courier.sender.close()

    def _tidy(self) -> None:
        """Do once a minute what has no hurry."""
        while not self.stopping.is_set():
            try:
                self.do_a_round()
            except (SQLAlchemyError, AppError) as error:
                logger.warning("Reminders and tidying up wait for the database: %s", type(error).__name__)
            except Exception:
                logger.exception("Reminders and tidying up failed")
            self.stopping.wait(ROUND_EVERY)

    def do_a_round(self) -> None:
        """Write the reminders that are due, give up what is no news any more, and forget old keys of requests."""
        now = self.clock()
        while self._asks(reminders.is_any_due, now) and self.database.write(reminders.enqueue_due, now=now):
            if self.stopping.is_set():
                return
        if self._asks(delivery.is_any_expired, now):
            given_up = self.database.write(delivery.give_up_expired, now=now)
            logger.warning("%d message(s) could not be delivered while they were news", given_up)
        if self._asks(service.is_any_old, now):
            self.database.write(service.forget_old_answers, now=now)

    def _asks(self, question: Callable[..., bool], now: datetime) -> bool:
        """Ask before writing: on SQLite nobody can book while something is written."""
        with self.database.reading() as session:
            return question(session, now=now)


def writer(settings: Settings, channel: Channel, *, base_url: str) -> Callable[[str, str, dict[str, Any]], Rendered]:
    """Whoever writes messages of one channel out, from template, recipient and values."""

    def write_out(template: str, recipient: str, values: dict[str, Any]) -> Rendered:
        keys, sender = settings.secret_keys, settings.sender
        return render(template, channel, recipient, values, base_url=base_url, keys=keys, sender=sender)

    return write_out


def mail_sender(settings: Settings) -> Sender:
    """Whoever carries e-mails: the mail server of the settings, or files where there is none."""
    if settings.smtp_url:
        return MailSender(MailServer.from_url(settings.smtp_url), settings.sender)
    return FileSender(FOLDER, settings.sender)


def sms_sender(settings: Settings) -> Sender:
    """Whoever carries text messages: the gateway of the settings, or files where there is none."""
    if settings.sms_url:
        return SmsSender(settings.sms_url, settings.sms_headers, settings.sms_body, settings.sms_media_type)
    return FileSender(FOLDER, settings.sender)


def where_messages_go(settings: Settings) -> list[str]:
    """What becomes of messages here, for whoever reads the log: servers are named without what stands in their URLs."""
    mail, text = settings.smtp_url, settings.sms_url
    server = MailServer.from_url(mail) if mail else None
    return [
        f"E-mails go to the mail server {server.host}:{server.port}"
        if server
        else f"E-mails are kept as files in {FOLDER}, for DOCKET_SMTP_URL names no mail server",
        f"Text messages go to the gateway {urlsplit(text).hostname}"
        if text
        else f"Text messages are kept as files in {FOLDER}, for DOCKET_SMS_URL names no gateway",
    ]


def _in_daytime(session: Session, wanted: datetime, planned_for: datetime, expires_at: datetime) -> datetime:
    return visit_messages.earliest_text(get_clinic(session), wanted, planned_for, expires_at)


# ----------------------------------------------------------------------------------------------------- processes


def run_worker(base_url: str, *, beside: bool = False) -> None:
    """Be a worker until the process is told to stop; `beside` a server, until that is gone, too."""
    settings = Settings()
    configure_logging(settings.log_format)
    database = wired_database(settings.database_url)
    worker = Worker(database, settings, base_url=base_url)
    for sentence in where_messages_go(settings):
        logger.info(sentence)
    logger.info("Links in messages lead to %s", base_url)

    def stop(*_signal: object) -> None:
        worker.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches both, and the server says when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN if beside else stop)
    if beside:
        # Whoever waits for a page goes first; a message can wait for a few milliseconds.
        os.nice(POLITENESS)
        threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    try:
        worker.run()
    finally:
        database.dispose()


def _wait_for_parent(stop: Callable[[], None]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        stop()


@contextmanager
def worker_beside(base_url: str) -> Iterator[None]:
    """A worker in a process of its own, so that writing messages out takes no time from answering."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep_worker, args=(base_url, over))
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _keep_worker(base_url: str, over: threading.Event) -> None:
    """Have a worker until it is over. One that dies is followed by another, for nobody else would deliver."""
    while not over.is_set():
        process = multiprocessing.get_context("spawn").Process(
            target=run_worker, args=(base_url,), kwargs={"beside": True}, name="docket worker"
        )
        process.start()
        while process.is_alive() and not over.wait(LOOK_EVERY):
            pass
        if not over.is_set():
            logger.error("The worker ended with %s; another one takes its place", process.exitcode)
            over.wait(SECONDS_BETWEEN)
            continue
        process.terminate()
        process.join(SECONDS_TO_END)
        # What it was sending is sent again by whoever comes next, with the same Message-ID.
        process.kill()
