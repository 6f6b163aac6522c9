"""The worker delivers messages, writes due reminders, and cleans up. Several may run at once.

`docket worker` is one. `docket serve` also starts one next to the server, so that a small clinic needs no setup.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from multiprocessing.connection import wait
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.appointments.impact.pending_decisions import forget_over, is_any_over
from webapp.appointments.messages import daytime, reminders
from webapp.auth import drafts
from webapp.auth.sign_in import sign_in_codes
from webapp.causes import end_minutes, report
from webapp.clinic.service import get_clinic
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.core.logging import configure_logging
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError
from webapp.heartbeats import service as heartbeats
from webapp.heartbeats.service import beat
from webapp.idempotency import service
from webapp.identity_providers import OWN_MACHINE
from webapp.live import feed as live
from webapp.notifications import delivery, erasure
from webapp.notifications.delivery import Courier, Sender
from webapp.notifications.exceptions import ServerUnavailable
from webapp.notifications.file_sender import FOLDER, FileSender
from webapp.notifications.mail import MailSender, MailServer
from webapp.notifications.outbox import Channel
from webapp.notifications.rendering import Rendered, render
from webapp.notifications.sms import SmsSender
from webapp.privacy import retention
from webapp.troubles import cause_in_words

logger = logging.getLogger(__name__)

# Seconds between two checks of the outbox, between two rounds of everything else, and the longest pause after failures.
LOOK_EVERY, ROUND_EVERY, LONGEST_REST = 1.0, 60.0, 60.0
# Added to the niceness of the process, see nice(1), so that answering requests comes first.
NICENESS = 10
# A difference from the database's clock that is worth a line in the log.
MOST_AHEAD_SECONDS = 30
# How long one statement may take; a request has far less time.
PATIENCE = 60.0


class Worker:
    """All background work: one thread for each channel, and one for the rest.

    `base_url` is the start of links in messages. The settings decide whether messages are sent or kept as files.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        base_url: str,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.database = database
        # Several workers agree on due messages and claims only if they read the same clock.
        self.clock = clock or database.now
        self.stopping = threading.Event()
        name = f"{socket.gethostname()[:30]}:{os.getpid()}"
        senders: dict[Channel, Sender] = {"email": mail_sender(settings), "sms": sms_sender(settings)}
        self.couriers = [
            Courier(
                database,
                channel,
                sender,
                name=name,
                clock=self.clock,
                write_out=writer(settings, channel, base_url=base_url),
                earliest=_in_daytime if channel == "sms" else None,
            )
            for channel, sender in senders.items()
        ]

    def run(self) -> None:
        """Work until `stopping` is set; work in progress is finished."""
        threads = [threading.Thread(target=self._deliver, args=(courier,)) for courier in self.couriers]
        threads.append(threading.Thread(target=self._tidy))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _deliver(self, courier: Courier) -> None:
        """Deliver the messages of one channel. If its server cannot be reached, pause, for longer each time."""
        failures = 0
        while not self.stopping.is_set():
            try:
                went_on = courier.deliver_next()
                failures = 0
            except ServerUnavailable as away:
                failures += 1
                logger.warning("Delivery of %s is paused: %s", courier.channel, away)
            except (SQLAlchemyError, AppError) as error:
                failures += 1
                what = cause_in_words(error)
                report(logger, logging.WARNING, "outbox", "The outbox cannot be read or written: %s", what)
            except Exception:
                # The thread must survive any error, because nothing else delivers this channel.
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
        """Do the other background work once a minute."""
        while not self.stopping.is_set():
            try:
                self.do_a_round()
            except (SQLAlchemyError, AppError) as error:
                what = cause_in_words(error)
                report(
                    logger, logging.WARNING, "round", "Reminders and clean-up are waiting for the database: %s", what
                )
            except Exception:
                logger.exception("Reminders and clean-up failed")
            self.stopping.wait(ROUND_EVERY)

    def do_a_round(self) -> None:
        """Write due reminders, give up expired messages, and delete old answers, drafts and codes."""
        now = self.clock()
        self._beat()
        while self._asks(reminders.is_any_due, now) and self.database.write(reminders.enqueue_due, now=now):
            if self.stopping.is_set():
                return
        if self._asks(delivery.is_any_expired, now):
            given_up = self.database.write(delivery.give_up_expired, now=now)
            logger.warning("%d message(s) expired before they could be delivered", given_up)
        if self._asks(service.is_any_old, now):
            self.database.write(service.forget_old_answers, now=now)
        if self._asks(heartbeats.is_any_old, now):
            self.database.write(heartbeats.forget_old, now=now)
        if self._asks(drafts.is_any_old, now):
            self.database.write(drafts.forget_old, now=now)
        if self._asks(sign_in_codes.is_any_old, now):
            self.database.write(sign_in_codes.forget_old, now=now)
        if self._asks(is_any_over, now):
            self.database.write(forget_over, now=now)
        if self._asks(live.is_any_old, now):
            self.database.write(live.forget_old)
        self._forget()
        if self._asks(retention.is_due, now):
            retention.run(self.database, now=now, folder=FOLDER, stop=self.stopping.is_set)

    def _beat(self) -> None:
        """Write this worker's heartbeat, and warn of a wrong clock, which pages and reminders depend on."""
        ahead = (utc_now() - self.database.write(beat, "worker")).total_seconds()
        if abs(ahead) > MOST_AHEAD_SECONDS:
            report(
                logger,
                logging.WARNING,
                "clock",
                "The clock of this machine is %d seconds %s the database's. Set both by a time server.",
                abs(ahead),
                "ahead of" if ahead > 0 else "behind",
            )

    def _forget(self) -> None:
        """Delete the files of messages about erased people, and their remains in SQLite's log."""
        with self.database.reading() as session:
            forgotten = erasure.list_forgotten(session)
        if forgotten:
            erasure.delete_files(FOLDER, [message_id for _number, message_id in forgotten])
            self.database.write(erasure.delete_forgotten, [number for number, _message_id in forgotten])
            logger.info("Deleted %d message(s) about people whose data was deleted", len(forgotten))
            self.database.empty_log()

    def _asks(self, question: Callable[..., bool], now: datetime) -> bool:
        """Ask before writing: on SQLite a write transaction makes every booking wait."""
        with self.database.reading() as session:
            return question(session, now=now)


def writer(settings: Settings, channel: Channel, *, base_url: str) -> Callable[[str, str, dict[str, Any]], Rendered]:
    """The function that renders messages of one channel from template, recipient and values."""

    def write_out(template: str, recipient: str, values: dict[str, Any]) -> Rendered:
        keys, sender = settings.secret_keys, settings.sender
        return render(template, channel, recipient, values, base_url=base_url, keys=keys, sender=sender)

    return write_out


def mail_sender(settings: Settings) -> Sender:
    """The sender of emails: the configured mail server, or files without one."""
    if settings.smtp_url:
        return MailSender(MailServer.from_url(settings.smtp_url), settings.sender)
    return FileSender(FOLDER, settings.sender)


def sms_sender(settings: Settings) -> Sender:
    """The sender of text messages: the configured gateway, or files without one."""
    if settings.sms_url:
        return SmsSender(settings.sms_url, settings.sms_headers, settings.sms_body, settings.sms_media_type)
    return FileSender(FOLDER, settings.sender)


def message_destination(settings: Settings) -> list[str]:
    """The destination of messages, for the log: servers are named without the credentials in their URLs."""
    mail, text = settings.smtp_url, settings.sms_url
    server = MailServer.from_url(mail) if mail else None
    return [
        f"Emails go to the mail server {server.host}:{server.port}, {server.safety}"
        if server
        else f"Emails are kept as files in {FOLDER}, because DOCKET_SMTP_URL is not set",
        f"Text messages go to the gateway {urlsplit(text).hostname}"
        if text
        else f"Text messages are kept as files in {FOLDER}, because DOCKET_SMS_URL is not set",
    ]


def unsafe_mail(settings: Settings) -> list[str]:
    """A warning if emails may go over a network unencrypted."""
    server = MailServer.from_url(settings.smtp_url) if settings.smtp_url else None
    if server is None or server.is_safe or server.host in OWN_MACHINE:
        return []
    return [f"Emails to {server.host}:{server.port} are {server.safety}"]


def _in_daytime(session: Session, wanted: datetime, planned_for: datetime, expires_at: datetime) -> datetime:
    return daytime.earliest_text(get_clinic(session), wanted, planned_for, expires_at)


# ----------------------------------------------------------------------------------------------------- processes


def run_worker(base_url: str, *, beside: bool = False) -> None:
    """Run a worker until the process is told to stop; if `beside` a server, also until that is gone."""
    settings = Settings()
    configure_logging(settings.log_format)
    database = wired_database(settings.database_url, patience=PATIENCE)
    worker = Worker(database, settings, base_url=base_url)
    for sentence in message_destination(settings):
        logger.info(sentence)
    logger.info("Links in messages lead to %s", base_url)

    def stop(*_signal: object) -> None:
        worker.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches both processes, and the server tells the worker when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN if beside else stop)
    if beside:
        # Requests come first; a message can wait for a few milliseconds.
        os.nice(NICENESS)
        threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    try:
        worker.run()
    finally:
        database.dispose()
        end_minutes()


def _wait_for_parent(stop: Callable[[], None]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        stop()
