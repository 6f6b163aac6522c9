"""`python -m bench.timing`: whether the time of an answer tells who has an account.

The four requests that anyone may send about an address: for a code, to sign in with a wrong password, to register, for
a link to a new password. Each goes to addresses of four kinds: known, unknown, of a disabled account, and throttled
(the address has been sent enough, or the account has failed enough; a sign-in that is refused for that is compared with
one for an unknown address that is refused, too). The kinds come in random order, each request has another address and
network, and the figures are medians of the processor time of the process, which holds no client but the application.
PostgreSQL's own work is in the elapsed time. Every median must be within 5 % of that of a known address.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.orm import Session

from bench import asgi
from bench.servers import temporary_database
from bench.terminal import say, table
from tests.cast import NOW, SECRET_KEY, assemble, password_hash
from webapp import models
from webapp.auth import login_throttle
from webapp.auth.passwords import password_reset
from webapp.auth.service import account_key
from webapp.auth.sign_in import sign_in_codes
from webapp.config import Settings
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.main import create_app
from webapp.migrations import upgrade

KINDS = ("known", "unknown", "disabled", "throttled")
# Beside the others, for the comparison of refusals.
REFUSED = "throttled, unknown"
MOST = 0.05
WORDS = "walrus teapot orbit"
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "code": ("/login", {"by": "code"}),
    "sign-in": ("/login", {"password": "not the password"}),
    "register": ("/register", {"name": "Nina New", "password": WORDS}),
    "reset": ("/password/forgot", {}),
}


def main() -> int:
    """Measure and print the table; 0 when every median is near enough."""
    parser = argparse.ArgumentParser(prog="python -m bench.timing", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--rounds", type=int, default=100, help="requests of each kind (100)")
    parser.add_argument("--only", choices=list(FORMS), help="only this request")
    options = parser.parse_args()
    names = [options.only] if options.only else list(FORMS)
    worst = 0.0
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _clinic(kind, options.rounds) as app:
            rows = [_row(name, asyncio.run(_measure(app, name, options.rounds))) for name in names]
        worst = max(worst, *(abs(far) for _cells, far in rows))
        headings = ["request", *(f"{each} {unit}" for each in (*KINDS, REFUSED) for unit in ("cpu", "ms")), "worst %"]
        say(table(headings, [cells for cells, _far in rows], title=f"{kind}: medians in milliseconds"))
    return int(worst > MOST)


@contextmanager
def _clinic(kind: str, rounds: int) -> Iterator[FastAPI]:
    with ExitStack() as stack:
        url = stack.enter_context(temporary_database(kind))
        database = wired_database(url)
        stack.callback(database.dispose)
        upgrade(database)
        assemble(database)
        _add_people(database, rounds)
        app = create_app(Settings(database_url=url, secret_key=SECRET_KEY, smtp_url="none"), database)
        app.state.clock = lambda: NOW
        yield app


def _add_people(database: Database, rounds: int) -> None:
    """Accounts of each kind, and what makes an address or an account full."""
    people = [_email(name, kind, at) for name in FORMS for kind in KINDS for at in range(rounds) if kind != "unknown"]
    full = [(name, _email(name, kind, at)) for name in FORMS for kind in ("throttled", REFUSED) for at in range(rounds)]
    ago = NOW - timedelta(seconds=30)

    def add(session: Session) -> None:
        users = [
            {
                "email": email,
                "name": "Pat Poe",
                "password_hash": password_hash(),
                "role": "patient",
                "active": "disabled" not in email,
                "created_at": NOW - timedelta(days=9),
            }
            for email in people
        ]
        session.execute(sa.insert(models.User), users)
        codes = [
            {"browser": f"{at}", "account": account_key(email), "device": "", "nonce": f"{at}", "code_hash": f"{at}"}
            | {"mailed": True, "sent_at": ago, "expires_at": ago + sign_in_codes.LIFETIME}
            for name, email in full
            if name in {"code", "register"}
            for at in range(sign_in_codes.MOST_CODES)
        ]
        session.execute(sa.insert(models.SignInCode), codes)
        failures = [
            {"account": account_key(email), "address": "192.0.2.1", "device": "", "judged": True, "at": ago}
            for name, email in full
            if name == "sign-in"
            for _at in range(login_throttle.THROTTLE_LIMIT)
        ]
        session.execute(sa.insert(models.FailedLogin), failures)
        mails = [
            {"dedupe_key": f"{email}:{at}", "channel": "email", "recipient": email, "values": {}, "created_at": ago}
            | {
                "template": password_reset.TEMPLATE,
                "subject_type": "user",
                "message_id": f"{email}:{at}",
                "subject_id": 1,
                "due_at": ago,
                "expires_at": ago,
            }
            for name, email in full
            if name == "reset"
            for at in range(password_reset.MOST_MAILS)
        ]
        session.execute(sa.insert(models.OutboxMessage), mails)

    database.write(add)


def _email(name: str, kind: str, at: int) -> str:
    # All are of one length.
    return f"{name}-{kind.replace(', ', '-'):-<20}-{at:04}@docket.example"


async def _measure(app: FastAPI, name: str, rounds: int) -> dict[str, tuple[float, float]]:
    """The medians of the processor time and of the elapsed time of each kind, in milliseconds."""
    path, form = FORMS[name]
    spent: dict[str, list[tuple[float, float]]] = {kind: [] for kind in (*KINDS, REFUSED)}
    networks, order = itertools.count(), random.Random(1)
    # The first requests fill caches.
    for at in range(-3, rounds):
        # A request takes longer after one that hashed a password, so each kind comes after all others.
        for kind in order.sample(list(spent), len(spent)):
            ask = asgi.post(path, "", {**form, "email": _email(name, kind, at)})
            number = next(networks)
            cpu, began = time.process_time(), time.perf_counter()
            await asgi.send(app, ask, client=f"10.{number // 250}.{number % 250}.1")
            took = (time.process_time() - cpu) * 1000, (time.perf_counter() - began) * 1000
            if at >= 0:
                spent[kind].append(took)
    return {
        kind: (statistics.median(cpu for cpu, _ms in each), statistics.median(ms for _cpu, ms in each))
        for kind, each in spent.items()
    }


def _row(name: str, found: dict[str, tuple[float, float]]) -> tuple[list[str], float]:
    """The cells, and how far the farthest median is from that with which it is compared."""
    pairs = [("unknown", "known"), ("disabled", "known")]
    # A refusal that says so is compared with a refusal.
    pairs += [(REFUSED, "throttled")] if name == "sign-in" else [("throttled", "known"), (REFUSED, "known")]
    far = max((found[one][0] / found[other][0] - 1 for one, other in pairs), key=abs)
    cells = [f"{figure:.2f}" for kind in (*KINDS, REFUSED) for figure in found[kind]]
    return [name, *cells, f"{far * 100:+.1f}"], far


if __name__ == "__main__":
    sys.exit(main())
