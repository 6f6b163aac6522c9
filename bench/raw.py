"""The raw guarded transaction: the least that a booking needs, by the bare driver and in prepared SQL.

SQLite: BEGIN IMMEDIATE, INSERT of the appointment (the guard's triggers look for overlaps), INSERT of the audit
row, COMMIT with synchronous=FULL. PostgreSQL: the doctor's and the patient's row locked, the same two INSERTs
(the exclusion constraints look for overlaps), COMMIT with the server's own durability. No rule is asked, nothing
is read but the locks, and there is neither HTTP nor SQLAlchemy.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import psycopg

from bench.free_slots import PlannedBooking
from tests.postgres import libpq
from webapp.appointments.booking.appointment_row import new_reference
from webapp.core.local_time import wall_minute
from webapp.database import Database
from webapp.engines import sqlite_module

COLUMNS = (
    "reference", "doctor_id", "patient_id", "visit_type_id", "starts_at", "ends_at", "promised_minute",
    "busy_from", "busy_until", "status", "reason", "notes", "cancellation_reason", "version", "booked_by",
    "created_at", "updated_at",
)  # fmt: skip
CLINICS_ZONE = ZoneInfo("Europe/Amsterdam")
AUDIT_COLUMNS = (
    "at", "actor_user_id", "actor_role", "action", "subject_type", "subject_id", "visible", "details", "address",
)  # fmt: skip


class RawBooker(Protocol):
    """Books with the database driver alone."""

    def book(self, booking: PlannedBooking) -> str:
        """Write the appointment and its audit row in one durable transaction; return the reference."""

    def close(self) -> None:
        """Close the connections."""


def raw_booker(database: Database) -> RawBooker:
    """The booker for this kind of database."""
    return _SqliteBooker(database) if database.is_sqlite else _PostgresqlBooker(database)


def _values(booking: PlannedBooking) -> list[Any]:
    start, end, busy_from, busy_until = (
        f"{time:%Y-%m-%d %H:%M:%S}"
        for time in (booking.starts_at, booking.ends_at, booking.busy_from, booking.busy_until)
    )
    times = [start, end, wall_minute(booking.starts_at, CLINICS_ZONE), busy_from, busy_until]
    now = f"{booking.now:%Y-%m-%d %H:%M:%S}"
    ids = [new_reference(), booking.doctor_id, booking.patient_id, booking.visit_type_id]
    return [*ids, *times, "scheduled", booking.reason, "", "", 1, booking.user_id, now, now]


def _audit_values(booking: PlannedBooking, number: int) -> list[Any]:
    details = f'{{"starts_at": "{booking.starts_at:%Y-%m-%dT%H:%M:%SZ}"}}'
    now = f"{booking.now:%Y-%m-%d %H:%M:%S}"
    return [now, booking.user_id, "patient", "booked", "appointment", number, True, details, "127.0.0.1"]


def _insert(table: str, columns: tuple[str, ...], mark: str) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"


class _ByThread:
    """One connection for each thread; all of them are closed at the end."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._opened: list[Any] = []

    @property
    def connection(self) -> Any:
        """This thread's connection."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self._opened.append(self._local.connection)
        return self._local.connection

    def _connect(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._local = threading.local()


class _SqliteBooker(_ByThread):
    """Books on connections that are set up as Docket's are."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._file = str(database.url.database)
        self._appointment = _insert("appointments", COLUMNS, "?")
        self._audit = _insert("audit_events", AUDIT_COLUMNS, "?")

    def book(self, booking: PlannedBooking) -> str:
        values = _values(booking)
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(self._appointment, values)
        cursor.execute(self._audit, _audit_values(booking, cursor.lastrowid))
        cursor.execute("COMMIT")
        return str(values[0])

    def _connect(self) -> Any:
        # Each thread uses its own connection; only closing them is done by another thread.
        connection = sqlite_module().connect(self._file, isolation_level=None, check_same_thread=False)
        for pragma in ("busy_timeout=5000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


class _PostgresqlBooker(_ByThread):
    """Books on connections in UTC; psycopg prepares statements that are used often."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._url = libpq(str(database.url.render_as_string(hide_password=False)))
        self._appointment = _insert("appointments", COLUMNS, "%s") + " RETURNING id"
        self._audit = _insert("audit_events", AUDIT_COLUMNS, "%s")

    def book(self, booking: PlannedBooking) -> str:
        connection, values = self.connection, _values(booking)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM doctors WHERE id = %s FOR NO KEY UPDATE", [booking.doctor_id])
            cursor.execute("SELECT id FROM patients WHERE id = %s FOR NO KEY UPDATE", [booking.patient_id])
            number = cursor.execute(self._appointment, values).fetchone()[0]
            cursor.execute(self._audit, _audit_values(booking, number))
        connection.commit()
        return str(values[0])

    def _connect(self) -> Any:
        return psycopg.connect(self._url, options="-c timezone=UTC")
