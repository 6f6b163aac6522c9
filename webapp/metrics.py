"""Figures for Prometheus: requests, changes, refusals, messages, connections, and whether workers are there.

Every process counts for itself, in files of a folder that `docket serve` makes and names in the environment; a scrape
adds them up. So one address has the figures of all server processes and of the worker beside them. Figures from the
database, such as waiting messages, are read at each scrape. This module is imported only if metrics are wanted, because
the library takes long to load.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.audit.security_events import tally
from webapp.database import Database
from webapp.deadlines import waiting_at_most
from webapp.heartbeats.service import list_beats
from webapp.notifications.models import DEAD, UNDELIVERED, OutboxMessage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The library reads it when it is imported: `docket serve` sets it before.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
# A worker writes a heartbeat once a minute; one that is silent for longer than this is gone.
WORKER_IS_GONE = timedelta(minutes=3)
SCRAPE_SECONDS = 2.0

# In a separate registry: without a folder, a scrape reads them from here.
_OURS = CollectorRegistry()
_REQUESTS = Counter("docket_requests", "Requests answered", ["route", "method", "status"], registry=_OURS)
_SECONDS = Histogram("docket_request_seconds", "Time to answer", ["route"], buckets=BUCKETS, registry=_OURS)
_IN_PROGRESS = Gauge(
    "docket_requests_in_progress", "Requests being answered or waiting", multiprocess_mode="livesum", registry=_OURS
)
_CONNECTIONS = Gauge(
    "docket_database_connections_in_use", "Connections in use", multiprocess_mode="livesum", registry=_OURS
)
_STREAMS = Gauge(
    "docket_live_streams", "Browsers that are told of changes", multiprocess_mode="livesum", registry=_OURS
)
_CHANGES = Counter("docket_changes", "Committed changes, such as AppointmentBooked", ["event"], registry=_OURS)
_REFUSALS = Counter("docket_refusals", "Changes that a rule refused", ["rule"], registry=_OURS)
_SECURITY = Counter("docket_security_events", "Sign-ins, wrong passwords and refusals", ["event"], registry=_OURS)


class MetricsObserver:
    """Counts what one process does."""

    def __init__(self, database: Database, streams: Callable[[], int]) -> None:
        self._pool: Any = database.engine.pool
        self._streams = streams
        self._security: dict[str, int] = {}
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        database.observer = self

    def begin(self) -> None:
        """A request has come."""
        _IN_PROGRESS.inc()

    def end(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        _IN_PROGRESS.dec()
        _CONNECTIONS.set(self._pool.checkedout())
        _STREAMS.set(self._streams())
        key = (route, method, status)
        if key not in self._children:
            known = method if method in METHODS else "other"
            self._children[key] = (_REQUESTS.labels(route, known, str(status)), _SECONDS.labels(route))
        counter, histogram = self._children[key]
        counter.inc()
        histogram.observe(seconds)
        self._count_security_events()

    def committed(self, events: list[str]) -> None:
        """A transaction that published these events was committed."""
        for event in events:
            _CHANGES.labels(event).inc()

    def refused(self, rule: str) -> None:
        """A rule refused a change."""
        _REFUSALS.labels(rule).inc()

    def _count_security_events(self) -> None:
        for event, count in tally.counts().items():
            new = count - self._security.get(event, 0)
            if new:
                self._security[event] = count
                _SECURITY.labels(event).inc(new)


class DatabaseCollector(Collector):
    """Figures from the database, read at each scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """The figures; if the database does not answer, only that fact."""
        _forget_ended_processes()
        found: list[Metric] = []
        with suppress(SQLAlchemyError), waiting_at_most(SCRAPE_SECONDS), self._database.reading() as session:
            found = list(_figures(session, self._database))
        yield GaugeMetricFamily("docket_database_up", "Whether the database answers", float(bool(found)))
        yield from found


def _forget_ended_processes() -> None:
    """Delete the requests in progress of killed processes; their counters stay."""
    folder = os.environ.get(FOLDER_VARIABLE)
    for path in Path(folder).glob("gauge_live*_*.db") if folder else ():
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)


def _figures(session: Session, database: Database) -> Iterator[Metric]:
    now = database.now()
    count = sa.select(sa.func.count(), sa.func.min(OutboxMessage.due_at))
    due, oldest = session.execute(count.where(UNDELIVERED, OutboxMessage.due_at <= now)).one()
    later = session.scalar(sa.select(sa.func.count()).where(UNDELIVERED, OutboxMessage.due_at > now))
    dead = session.scalar(sa.select(sa.func.count(OutboxMessage.id)).where(DEAD))
    messages = GaugeMetricFamily("docket_outbox_messages", "Messages that are not delivered", labels=["state"])
    for state, number in (("due", due), ("later", later), ("given up", dead)):
        messages.add_metric([state], float(number or 0))
    yield messages
    age = (now - oldest).total_seconds() if due else 0.0
    yield GaugeMetricFamily("docket_outbox_oldest_seconds", "How long the oldest message has been due", age)
    beats = [now - beat.seen_at for beat in list_beats(session, "worker")]
    alive = sum(age < WORKER_IS_GONE for age in beats)
    yield GaugeMetricFamily("docket_workers", "Workers that wrote in the last three minutes", float(alive))
    silent = min((age.total_seconds() for age in beats), default=-1.0)
    yield GaugeMetricFamily("docket_worker_silent_seconds", "Since a worker last wrote; -1: never", silent)


def exposition(database: Database) -> bytes:
    """All figures in Prometheus's format."""
    return generate_latest(_registry(database))


def _registry(database: Database) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(database))
    if os.environ.get(FOLDER_VARIABLE):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Ours())
    return registry


class _Ours(Collector):
    def collect(self) -> Iterator[Metric]:
        """The figures of this process alone."""
        yield from _OURS.collect()


@contextmanager
def served(address: str, port: int, database: Database) -> Iterator[None]:
    """Answer scrapes at this address until the block ends, in its own thread."""
    server, thread = start_http_server(port, address, registry=_registry(database))
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
