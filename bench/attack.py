"""`python -m bench.attack`: thousands of hostile requests against a served Docket.

Eight clients send guesses, forged tokens and links, forms of other sites, odd addresses and large bodies, each time
from another network. No answer may be 500 or more, and every attempt to sign in must be in the security events.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa

from bench.servers import empty_database
from bench.terminal import say
from tests.cast import assemble
from tests.postgres import postgres_server
from tests.servers import live_server
from webapp.event_handlers import wired_database
from webapp.migrations import upgrade
from webapp.models import AuditEvent, FailedLogin, SecurityEvent

CLIENTS = 8
SIGN_INS = ("sign_in_failed", "sign_in_throttled")
# The answer to a client when too many passwords are checked at once: the attempt was not made.
NOT_TRIED = {503}


class Shot(NamedTuple):
    """One request; `signs_in` if it is an attempt to sign in."""

    name: str
    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    signs_in: bool = False


def main() -> int:
    """Run it; 0 when all went as promised."""
    parser = argparse.ArgumentParser(prog="python -m bench.attack", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-attack-")))
        server = stack.enter_context(postgres_server()) if options.database == "postgresql" else None
        url = stack.enter_context(empty_database(options.database, server, folder))
        _prepare(url)
        running = stack.enter_context(live_server(url, env={"DOCKET_TRUSTED_PROXIES": "127.0.0.1"}))
        port = int(running.url.rsplit(":", 1)[1])
        began = time.monotonic()
        outcomes = _attack(port, options.requests, options.seed)
        seconds = time.monotonic() - began
        # The last refusals are written within a second.
        time.sleep(2.5)
        return _report(url, outcomes, seconds)


def _prepare(url: str) -> None:
    database = wired_database(url)
    try:
        upgrade(database)
        assemble(database)
    finally:
        database.dispose()


def _attack(port: int, requests: int, seed: int) -> Counter[tuple[str, bool, int]]:
    """Send the requests; how often each kind got each status. 0 means that the connection broke."""

    def client(number: int) -> Counter[tuple[str, bool, int]]:
        chance, found = random.Random(f"{seed}:{number}"), Counter[tuple[str, bool, int]]()
        kinds = [shot for shot, weight in SHOTS for _ in range(weight)]
        for _ in range(requests // CLIENTS):
            shot = chance.choice(kinds)(chance)
            found[shot.name, shot.signs_in, _send(port, shot, chance)] += 1
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(client, range(CLIENTS)), Counter())


def _send(port: int, shot: Shot, chance: random.Random) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Origin": f"http://127.0.0.1:{port}", "X-Forwarded-For": _address(chance), **shot.headers}
    if shot.path.startswith("/api/") and "Origin" not in shot.headers:
        del headers["Origin"]
    try:
        connection.request(shot.method, shot.path, shot.body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _address(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return f"198.{chance.randrange(18, 20)}.{chance.randrange(60)}.{chance.randrange(1, 255)}"
    return f"2001:db8:{chance.randrange(40):x}:{chance.randrange(65536):x}::{chance.randrange(1, 65536):x}"


# ---------------------------------------------------------------------------------------------- the requests

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
ODD = ("'; DROP TABLE users; --", "<script>alert(1)</script>", "../../etc/passwd", "{{7*7}}", "\u202e\u0378", "%" * 50)


def _form(name: str, path: str, *, signs_in: bool = False, **fields: str) -> Shot:
    return Shot(name, "POST", path, urlencode(fields).encode(), FORM, signs_in)


def _someone(chance: random.Random) -> str:
    known = ("alice", "bob", "carol", "dave")
    return f"{chance.choice(known) if chance.random() < 0.5 else chance.randrange(10**6)}@docket.example"


def _guess(chance: random.Random) -> Shot:
    return _form("password", "/login", signs_in=True, email=_someone(chance), password=chance.choice(ODD))


def _guess_by_api(chance: random.Random) -> Shot:
    fields = {"username": _someone(chance), "password": chance.choice(ODD)}
    return Shot("password by API", "POST", "/api/v1/auth/token", urlencode(fields).encode(), FORM, signs_in=True)


def _foreign_token(chance: random.Random) -> Shot:
    shot = _guess_by_api(chance)
    return shot._replace(
        name="password from another site", headers={**FORM, "Origin": "https://evil.example"}, signs_in=False
    )


def _foreign_form(chance: random.Random) -> Shot:
    shot = _form("form from another site", chance.choice(("/login", "/logout", "/register", "/book")))
    return shot._replace(headers={**FORM, "Origin": "https://evil.example"})


def _forged_bearer(chance: random.Random) -> Shot:
    token = f"eyJhbGciOiJub25lIn0.{chance.randrange(10**9)}."
    path = chance.choice(("/api/v1/auth/me", "/api/v1/patients", "/api/v1/appointments"))
    return Shot("forged token", "GET", path, b"", {"Authorization": f"Bearer {token}"})


def _forged_refresh(chance: random.Random) -> Shot:
    body = json.dumps({"refresh_token": str(chance.random())}).encode()
    return Shot("forged refresh token", "POST", "/api/v1/auth/refresh", body, JSON)


def _forged_link(chance: random.Random) -> Shot:
    place = chance.choice(("/password/reset/%s", "/visit/%s", "/email/confirm/%s", "/calendar/%s.ics"))
    return Shot("forged link", "GET", place % f"x{chance.randrange(10**9)}.y", b"", {})


def _register(chance: random.Random) -> Shot:
    fields = {"name": "Eve Evil", "email": _someone(chance), "password": "walrus teapot orbit"}
    fields["birth_date"] = "2999-01-01"
    return Shot("registration", "POST", "/register", urlencode(fields).encode(), FORM)


def _reset(chance: random.Random) -> Shot:
    return _form("reset", "/password/forgot", email=_someone(chance))


def _odd_address(chance: random.Random) -> Shot:
    path = chance.choice(("/?q=", "/doctors?q=", "/api/v1/doctors?q=", "/static/", "/appointments/"))
    return Shot(
        "odd address", "GET", path + chance.choice(("%00", "%ff", "..%2f..%2f", "%27%3B--", "9" * 3000)), b"", {}
    )


def _odd_method(chance: random.Random) -> Shot:
    return Shot("odd method", chance.choice(("PUT", "DELETE", "PATCH", "TRACE")), "/login", b"", {})


def _large(_chance: random.Random) -> Shot:
    return Shot("large body", "POST", "/login", b"a=" + b"b" * 1_100_000, FORM)


def _staff_page(chance: random.Random) -> Shot:
    path = chance.choice(("/admin", "/admin/patients/1", "/schedule", "/admin/audit.csv"))
    return Shot("page of staff", "GET", path, b"", {"Cookie": f"docket_session=forged.{chance.randrange(10**6)}"})


def _odd_json(chance: random.Random) -> Shot:
    body = chance.choice((b"{", b"[" * 3000, b'{"refresh_token": "\\ud800"}', b"\xff", b'{"refresh_token": 1e999}'))
    return Shot("odd JSON", "POST", "/api/v1/auth/refresh", body, JSON)


SHOTS: tuple[tuple[Callable[[random.Random], Shot], int], ...] = (
    (_guess, 5),
    (_guess_by_api, 3),
    (_foreign_token, 2),
    (_foreign_form, 2),
    (_forged_bearer, 3),
    (_forged_refresh, 2),
    (_forged_link, 3),
    (_register, 1),
    (_reset, 1),
    (_odd_address, 3),
    (_odd_method, 1),
    (_large, 1),
    (_staff_page, 2),
    (_odd_json, 1),
)


# -------------------------------------------------------------------------------------------------- the outcome


def _report(url: str, outcomes: Counter[tuple[str, bool, int]], seconds: float) -> int:
    total = sum(outcomes.values())
    statuses: Counter[int] = Counter()
    for (_name, _signs_in, status), count in outcomes.items():
        statuses[status] += count
    tried = sum(count for (_n, signs_in, status), count in outcomes.items() if signs_in and status not in NOT_TRIED)
    broken = sum(count for status, count in statuses.items() if (status >= 500 and status != 503) or status == 0)
    events, rows, others = _read_events(url)
    recorded = sum(count for action, count in events.items() if action in SIGN_INS)
    say(f"{total:,} hostile requests in {seconds:.0f} s: {dict(sorted(statuses.items()))}")
    say(f"Answers of 500 and more, or none: {broken}; told to come again (503): {statuses[503]}")
    say(f"Attempts to sign in: {tried:,}; in the security events: {recorded:,}")
    say(f"Security events by code: {dict(sorted(events.items()))}")
    say(f"Rows: {rows:,} security events, {others}")
    good = broken == 0 and recorded == tried
    say("As promised." if good else "That did not go as promised.")
    return 0 if good else 1


def _read_events(url: str) -> tuple[dict[str, int], int, str]:
    """The sums of the events by code, the number of their rows, and those of two other tables in words."""
    database = wired_database(url)
    try:
        with database.reading() as session:
            sums = sa.select(SecurityEvent.action, sa.func.sum(SecurityEvent.count)).group_by(SecurityEvent.action)
            events = {action: int(count) for action, count in session.execute(sums)}
            counts = [
                session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in (SecurityEvent, FailedLogin, AuditEvent)
            ]
    finally:
        database.dispose()
    return events, counts[0], f"{counts[1]:,} attempts that count, {counts[2]:,} audit rows"


if __name__ == "__main__":
    sys.exit(main())
