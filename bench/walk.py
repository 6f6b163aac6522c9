"""`python -m bench.walk`: cached answers are the answers of a process that caches nothing.

A walk changes a small clinic at random: by the services, and by plain SQL as a person at a console would; its clock
goes on by seconds, hours and days, over midnights and the change to summer time. After each change, pages, fragments
and lists of free times are read as several readers: from two applications with caches, each with its own connection and
its own caches like a process, and from one that caches nothing. Status, headers and bytes must be the same.

With `--mutations` the code is broken in one place after the other, or a trigger is dropped: a walk must then find a
difference, else it proves nothing.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from anyio.from_thread import start_blocking_portal
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient

from bench.terminal import say
from bench.walk_changes import Change, Scene, fill, make_change
from bench.walk_mutations import MUTATIONS, Trigger, drop_trigger, is_noticed, triggers_of
from tests.cast import AMSTERDAM, Cast, assemble, assembled, client_for, log_in
from tests.languages import PSEUDO
from tests.postgres import new_database, postgres_server
from webapp.database import VersionCache
from webapp.event_handlers import wired_database
from webapp.i18n import ENGLISH
from webapp.migrations import upgrade

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# This many steps ask for the same, so that most answers have been cached before a change: at two places of the list of
# requests, for some that follow each other, because these are much alike.
STEPS_OF_ONE_FOCUS = 6
PLACES, IN_A_ROW = 2, 8
HTMX = {"hx-request": "true"}
BY_ITSELF = {**HTMX, "docket-live": "1"}
WIDE = {"accept-language": PSEUDO.tag}
# These headers differ in every answer.
OWN_HEADERS = {"set-cookie", "x-request-id", "ratelimit"}


class Ask(NamedTuple):
    """A request: the reader's name ('' for a visitor), the address, and its headers."""

    reader: str
    address: str
    headers: Mapping[str, str] = {}


class Difference(NamedTuple):
    """An answer from a cache that is not the answer without caches, and what was done before it."""

    ask: Ask
    where: str
    done: Sequence[str]

    def __str__(self) -> str:
        last = "; ".join(self.done[-4:])
        return (
            f"{self.ask.reader or 'visitor'} {self.ask.address} {dict(self.ask.headers)}: {self.where} (after {last})"
        )


def asks_at(cast: Cast, now: datetime) -> list[Ask]:
    """All that is read, with each kind of cached part, by each kind of reader; requests that are alike in a row."""
    today = now.astimezone(AMSTERDAM).date()
    days = [today + timedelta(days=ahead) for ahead in (0, 1, 2)]
    week = f"{today + timedelta(days=7):%G-W%V}"
    bob, span = cast.doctor_ids["bob"], f"from={today}&to={days[2]}"
    public = [
        Ask("", "/"),
        Ask("", "/doctors"),
        Ask("", "/doctors", HTMX),
        Ask("", "/doctors?q=skin&visit_type=First+visit"),
        Ask("", "/doctors/bob"),
        Ask("", f"/doctors/bob?week={week}"),
        Ask("", "/doctors/bob/calendar"),
        Ask("", "/doctors/bob/calendar", HTMX),
        Ask("", "/api/v1/availability"),
        Ask("", f"/api/v1/availability?{span}"),
        Ask("", f"/api/v1/doctors/{bob}/availability?visit_type_id={cast.long}"),
        Ask("", f"/api/v1/doctors/{bob}/availability?{span}"),
    ]
    calendars = [
        Ask(reader, f"/doctors/{slug}/calendar{chosen}", HTMX)
        for slug in ("bob", "erin")
        for chosen in ("", f"?week={week}")
        for reader in ("alice", "dave", "bob", "carol", "")
    ]
    chosen = [Ask("carol", f"/doctors/bob?patient={number}") for number in cast.patient_ids.values()]
    own = [Ask("alice", "/"), Ask("alice", "/appointments"), Ask("dave", "/doctors/erin"), Ask("erin", "/doctors/erin")]
    of_doctor = [Ask(reader, f"/schedule/{day}", HTMX) for reader in ("bob", "erin") for day in days]
    of_doctor += [Ask("bob", f"/schedule/week/{week}"), Ask("bob", "/schedule")]
    desk = [
        Ask(reader, f"/board/{day}{only}", headers)
        for headers in (HTMX, BY_ITSELF)
        for day in days
        for only in ("", "?doctor=erin")
        for reader in ("carol", "fiona")
    ]
    admin = [
        Ask("carol", "/admin", HTMX),
        Ask("carol", "/admin/reports"),
        Ask("carol", "/admin/reports?from=2026-01&until=2026-03&by=doctor"),
    ]
    asks = [*public, *calendars, *chosen, *own, *of_doctor, *desk, *admin]
    return [each for ask in asks for each in (ask, ask._replace(headers={**ask.headers, **WIDE}))]


@dataclass
class Walk:
    """One walk through one clinic."""

    cast: Cast
    seed: int
    only: Change | None = None
    among: Callable[[Ask], bool] = bool
    make_change: Callable[[dict[str, Any], Scene], str] = make_change
    asked: int = 0
    done: list[str] = field(default_factory=list)

    def run(self, steps: int) -> Iterator[Difference]:
        """Go this many steps, and yield what differs."""
        self._random = random.Random(self.seed)
        self.now = self.cast.now
        url = self.cast.database.url.render_as_string(hide_password=False)
        with ExitStack() as stack:
            self._cached = [stack.enter_context(self._application(url, caches=True)) for _ in range(2)]
            self._plain = stack.enter_context(self._application(url, caches=False))
            self._sign_in()
            focus: list[int] = []
            for step in range(steps):
                asks = self._asks()
                if step % STEPS_OF_ONE_FOCUS == 0:
                    focus = self._focus(len(asks))
                    # A change is only noticed by those who have read before it.
                    yield from self._compare([asks[number] for number in focus])
                self._go_on(url, step)
                asks = self._asks()
                yield from self._compare([asks[number] for number in focus])

    def _focus(self, count: int) -> list[int]:
        starts = [self._random.randrange(max(count - IN_A_ROW, 0) + 1) for _ in range(PLACES)]
        return sorted({number for start in starts for number in range(start, min(start + IN_A_ROW, count))})

    def _asks(self) -> list[Ask]:
        return [ask for ask in asks_at(self.cast, self.now) if self.among(ask)]

    @contextmanager
    def _application(self, url: str, *, caches: bool) -> Iterator[TestClient]:
        database = wired_database(url)
        if not caches:
            # Everything weighs something, so nothing is kept.
            database._cache = database._answers = VersionCache(most=0)  # noqa: SLF001 - only this needs it.
        with client_for(database, api_rate_limit_anonymous="100000/minute") as client:
            app: Any = client.app
            app.state.clock = lambda: self.now
            app.state.language_of = lambda scope: PSEUDO if _is_wide(scope) else ENGLISH
            yield client
        database.dispose()

    def _sign_in(self) -> None:
        self._cookies = {}
        for name in ("alice", "dave", "bob", "erin", "carol", "fiona"):
            log_in(self._plain, name)
            self._cookies[name] = "; ".join(f"{key}={value}" for key, value in self._plain.cookies.items())
            self._plain.cookies.clear()

    def _go_on(self, url: str, step: int) -> None:
        """Change something, let time pass, or both."""
        changes, passes = self._random.choice(((True, False), (True, True), (False, True)))
        if self.only is not None or changes:
            scene = Scene(url, self.seed * 1000 + step, self.now, self.only)
            people = {name: value for name, value in vars(self.cast).items() if name != "database"}
            self.done.append(self.make_change(people, scene))
        if self.only is None and passes:
            self._let_time_pass()

    def _let_time_pass(self) -> None:
        midnight = (self.now + timedelta(days=1)).astimezone(AMSTERDAM).replace(hour=0, minute=0, second=0)
        step = self._random.choice(
            [
                *(timedelta(seconds=seconds) for seconds in (1, 30, 30, 59)),
                *(timedelta(minutes=minutes) for minutes in (1, 7, 15, 180)),
                midnight - self.now - timedelta(seconds=1),
                timedelta(days=1),
            ]
        )
        self.now += step
        self.done.append(f"{step} passed")
        if step > timedelta(minutes=10):
            self._sign_in()

    def _compare(self, asks: Sequence[Ask]) -> Iterator[Difference]:
        for ask in asks:
            self.asked += 1
            client = self._random.choice(self._cached)
            found, expected = self._answer(client, ask), self._answer(self._plain, ask)
            if found != expected:
                yield Difference(ask, _where(found, expected), list(self.done))

    def _answer(self, client: TestClient, ask: Ask) -> tuple[Any, ...]:
        own = {"cookie": self._cookies[ask.reader]} if ask.reader else {}
        headers = {"accept-encoding": "identity", **ask.headers, **own}
        answer = client.get(ask.address, headers=headers)
        client.cookies.clear()
        kept = sorted((name, value) for name, value in answer.headers.multi_items() if name not in OWN_HEADERS)
        return answer.status_code, kept, answer.content


def _is_wide(scope: Any) -> bool:
    return (b"accept-language", PSEUDO.tag.encode()) in scope["headers"]


def _where(found: tuple[Any, ...], expected: tuple[Any, ...]) -> str:
    """The first place at which two answers differ, in short."""
    if found[0] != expected[0] or found[2] == expected[2]:
        one, other = ({answer[0], *answer[1]} for answer in (found, expected))
        return f"{one - other} instead of {other - one}"
    one, other = (answer[2].decode(errors="replace") for answer in (found, expected))
    place = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    low = max(place - 60, 0)
    return f"…{one[low : place + 60]!r} instead of …{other[low : place + 60]!r}"


@contextmanager
def clinics(kind: str) -> Iterator[Iterator[Cast]]:
    """Fresh small clinics in databases of this kind, one after the other."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-walk-")))
        server = stack.enter_context(postgres_server()) if kind == "postgresql" else ""
        template = stack.enter_context(new_database(server)) if server else f"sqlite:///{folder}/template.db"
        database = wired_database(template)
        upgrade(database)
        assemble(database)
        database.dispose()
        yield _copies(template, server, folder)


def _copies(template: str, server: str, folder: Path) -> Iterator[Cast]:
    for number in range(10**6):
        with ExitStack() as stack:
            if server:
                url = stack.enter_context(new_database(server, template=str(make_url(template).database)))
            else:
                url = f"sqlite:///{shutil.copyfile(folder / 'template.db', folder / f'{number}.db')}"
            database = wired_database(url)
            cast = assembled(database)
            fill(cast)
            yield cast
            database.dispose()


class Tool:
    """The walks of one call of this tool. The changes are made by another process."""

    def __init__(self, options: argparse.Namespace, changer: Any) -> None:
        self._options = options
        self._changer = changer

    def _change(self, people: dict[str, Any], scene: Scene) -> str:
        words: str = self._changer.apply(make_change, (people, scene))
        return words

    def walk(self, kind: str) -> int:
        """Walk, print what differs, and return how often; with `--first` at most once."""
        asked, differing = 0, 0
        with clinics(kind) as casts:
            for seed, cast in zip(self._seeds, casts, strict=False):
                walk = Walk(cast, seed, make_change=self._change)
                for each in islice(walk.run(self._options.steps), 1 if self._options.first else None):
                    say(f"walk {seed}: {each}")
                    differing += 1
                asked += walk.asked
                if differing and self._options.first:
                    break
        say(f"{NAMES[kind]}: {asked} answers of caches compared, {differing} differ.")
        return differing

    def mutate(self, kind: str) -> int:
        """Drop one trigger after the other, and break one place of the code after the other; how often no walk
        noticed.
        """
        found = {}
        with clinics(kind) as casts:
            for trigger in triggers_of(next(casts)):
                found[f"trigger {trigger.name}"] = any(
                    self._differs_without(trigger, seed, cast) for seed, cast in zip(self._seeds, casts, strict=False)
                )
                say(f"{found[f'trigger {trigger.name}']} {trigger.name}")
        names = ("walks", "steps", "seed")
        arguments = [f"--{name}={vars(self._options)[name]}" for name in names] + [f"--database={kind}"]
        for mutation in MUTATIONS:
            found[mutation.what] = is_noticed(mutation, arguments)
            say(f"{found[mutation.what]} {mutation.what}")
        missed = [name for name, noticed in found.items() if not noticed]
        say(f"{NAMES[kind]}: {len(found) - len(missed)} of {len(found)} mutations noticed. Not: {', '.join(missed)}")
        return len(missed)

    @property
    def _seeds(self) -> range:
        return range(self._options.seed, self._options.seed + self._options.walks)

    def _differs_without(self, trigger: Trigger, seed: int, cast: Cast) -> bool:
        drop_trigger(cast.database, trigger)
        among = ASKS_OF_TRIGGER[trigger.of]
        walk = Walk(cast, seed, only=trigger.change, among=among, make_change=self._change)
        return next(walk.run(self._options.steps), None) is not None


# Each kind of trigger, and the requests whose cached answers it keeps right.
ASKS_OF_TRIGGER: dict[str, Callable[[Ask], bool]] = {
    "schedules": lambda ask: "docket-live" not in ask.headers,
    "months": lambda ask: "/reports" in ask.address,
    "boards": lambda ask: "docket-live" in ask.headers,
}


def main() -> int:
    """Walk, and print what differed; 0 when nothing did, or with `--mutations` when each was noticed."""
    parser = argparse.ArgumentParser(prog="python -m bench.walk", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--walks", type=int, default=10, help="walks, each in a fresh clinic (10)")
    parser.add_argument("--steps", type=int, default=60, help="changes of a walk (60)")
    parser.add_argument("--seed", type=int, default=1, help="another number walks other ways (1)")
    parser.add_argument("--first", action="store_true", help="end with the first difference")
    parser.add_argument("--mutations", action="store_true", help="break Docket, and see whether walks notice")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    # Lines about requests pass by that.
    logging.getLogger("webapp.requests").addFilter(lambda _line: False)
    with ExitStack() as stack:
        TestClient.portal = stack.enter_context(start_blocking_portal())
        tool = Tool(options, stack.enter_context(get_context("spawn").Pool(1)))
        work = tool.mutate if options.mutations else tool.walk
        wrong = sum(work(kind) for kind in ([options.database] if options.database else NAMES))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
