"""`python -m bench.guesses`: whether guessing references and links of appointments tells who is a patient.

Half of the guesses are references that exist, the other half ones that do not; each half is sent by a guest whose
browser has scanned the clinic's poster, and by another patient who is signed in, in an order by chance. The answers
must be the same except for the reference in them, and their processor time must not tell the halves apart: if answers
are compared in pairs, one from each half, the answer about the existing reference must be the slower one in about half
of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from fastapi import FastAPI
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench import asgi
from bench.asgi import PreparedRequest
from bench.servers import temporary_database
from bench.terminal import say, table
from tests.cast import SECRET_KEY, Cast, assemble, promised
from webapp import models
from webapp.appointments.booking.appointment_row import new_reference
from webapp.appointments.pages.appointment_access import POSTER_COOKIE
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.clinic import poster
from webapp.clinic.service import get_clinic
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.main import create_app
from webapp.migrations import upgrade

# How far the share of pairs may be from one half: almost four standard deviations of chance, with 1,000 answers in each
# half. There are sixteen such comparisons, of which one is beyond three standard deviations in every 24th run.
WITHIN = 0.05
REFERENCES = 200
ADDRESSES = ("/appointments/{}", "/appointments/{}/here", "/visit/{}", "/visit/{}/here")


def main() -> int:
    """Send the guesses and print the table; 1 if an answer or a time differs."""
    parser = argparse.ArgumentParser(prog="python -m bench.guesses", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--guesses", type=int, default=16_000)
    options = parser.parse_args()
    rows: list[list[str]] = []
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _clinic(kind) as (app, cookies, real):
            rows += [[kind, *row] for row in asyncio.run(_guess(app, cookies, real, options.guesses))]
    say(
        table(["", "who", "guess", "guesses", "ms, exists", "ms, does not", "slower", "answers"], rows, title="Guesses")
    )
    return 1 if any(row[-1] != "the same" or str(row[-2]).endswith("!") for row in rows) else 0


@contextmanager
def _clinic(kind: str) -> Iterator[tuple[FastAPI, dict[str, str], list[str]]]:
    """An application, the cookies of those who guess, and the references that exist."""
    with temporary_database(kind) as url:
        database = wired_database(url)
        upgrade(database)
        cast = assemble(database)
        real = database.write(_fill, cast)
        database.write(poster.renew, cast.carol, now=utc_now())
        settings = Settings(database_url=url, secret_key=SECRET_KEY, smtp_url="none")
        app, cookies = create_app(settings, database), _cookies(settings, database, cast)
        yield app, cookies, real
        database.dispose()


def _fill(session: Session, cast: Cast) -> list[str]:
    """Alice's appointments, one after the other."""
    references, now = [], utc_now().replace(minute=0, second=0, microsecond=0)
    for number in range(REFERENCES):
        starts = now + timedelta(hours=2 * number + 2)
        ends = starts + timedelta(minutes=15)
        references.append(new_reference())
        values = {
            "reference": references[-1],
            "doctor_id": cast.doctor_ids["bob"],
            "patient_id": cast.patient_ids["alice"],
            "visit_type_id": cast.short,
            "starts_at": starts,
            "ends_at": ends,
            "busy_from": starts,
            "busy_until": ends,
            "promised_minute": promised(starts),
            "created_at": now,
            "updated_at": now,
        }
        session.execute(sa.insert(models.Appointment).values(values))
    return references


def _cookies(settings: Settings, database: Database, cast: Cast) -> dict[str, str]:
    """The cookies of a guest's and of Dave's browser, which have both scanned the poster."""
    now = utc_now()
    with database.reading() as session:
        note = f"{POSTER_COOKIE}={poster.seal_scan(settings.secret_keys, get_clinic(session), now=now)}"
    secret = database.write(sessions.start_session, cast.dave.user_id, address="127.0.0.1", user_agent="bench", now=now)
    signed = Signer(settings.secret_keys, salt="docket.session").sign(secret).decode()
    return {"a guest": note, "a patient": f"{note}; {SESSION_COOKIE}={signed}"}


async def _guess(app: FastAPI, cookies: dict[str, str], real: list[str], guesses: int) -> list[list[str]]:
    rows: list[list[str]] = []
    made_up, chance = [new_reference() for _ in real], random.Random(1)
    each = guesses // (2 * len(ADDRESSES) * len(cookies))
    for who, cookie in cookies.items():
        for address in ADDRESSES:
            times: dict[bool, list[float]] = defaultdict(list)
            answers: dict[bool, set[tuple[int, str, bytes]]] = defaultdict(set)
            for turn in range(each + 20):
                # With fixed turns, what happens in every fourth request, such as a collection, falls on one half.
                for exists in chance.sample((True, False), 2):
                    reference = (real if exists else made_up)[turn % len(real)]
                    ask = _request(address.format(reference), cookie)
                    before = time.process_time()
                    answer = await asgi.send(app, ask, client=f"10.{turn % 200}.{turn // 200}.1")
                    if turn >= 20:
                        times[exists].append(time.process_time() - before)
                    body, location = answer.body.replace(reference.encode(), b""), answer.location
                    answers[exists].add((answer.status, location.replace(reference, ""), body))
            yes, no = (statistics.median(times[exists]) * 1000 for exists in (True, False))
            share = _share_slower(times[True], times[False])
            said = f"{share:.1%}{'' if abs(share - 0.5) <= WITHIN else ' !'}"
            same = "the same" if answers[True] == answers[False] and len(answers[True]) == 1 else "differ"
            rows.append([who, address.format("…"), str(2 * each), f"{yes:.2f}", f"{no:.2f}", said, same])
    return rows


def _share_slower(times: list[float], others: list[float]) -> float:
    """In which share of all pairs the first time is the longer one; equal ones count as half a pair."""
    ordered = sorted(others)
    shorter = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in times) / 2
    return shorter / (len(times) * len(ordered))


def _request(path: str, cookie: str) -> PreparedRequest:
    return asgi.post(path, cookie, {}) if path.endswith("/here") else asgi.get(path, cookie)


if __name__ == "__main__":
    sys.exit(main())
