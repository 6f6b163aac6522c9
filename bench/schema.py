"""`make schema`: the API does what its description says, for every kind of client and request.

schemathesis makes requests from the OpenAPI document: its examples, the edges of every schema and values beyond them,
random ones, and chains of requests. Each answer must have a documented status, type and shape, and none may be an
error of ours. This is proved for each kind of user on each database.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import schemathesis
import sqlalchemy as sa
from schemathesis import HookContext
from schemathesis.engine import events, from_schema
from schemathesis.schemas import BaseSchema

from bench.terminal import BOLD, GREEN, RED, paint, say, table
from tests.api_client import bearer
from tests.cast import Cast, assemble, client_for, local
from tests.postgres import new_database, postgres_server
from webapp import models
from webapp.event_handlers import wired_database
from webapp.migrations import upgrade

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# The kinds of client: without an account, and the patient, the doctor and the admin of the cast.
WHO = {"anonymous": "", "patient": "alice", "doctor": "bob", "admin": "carol"}
PHASES = ("examples", "coverage", "fuzzing", "stateful")
NO_LIMIT = "1000000/minute"
# Rules refuse requests that have the right shape, so valid requests may be refused.
CHECKS = {
    "positive_data_acceptance": {"enabled": False},
    # Preconditions are checked before the body.
    "negative_data_rejection": {
        "expected-statuses": ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "429"]
    },
}
SHOWN = 3
# A sparse run sends the first requests of each operation, and one in this many of the others.
FIRST, ONE_OF = 3, 12


@dataclass
class Found:
    """The results of a run."""

    cases: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def add(self, event: events.EngineEvent) -> None:
        """Record an event of the explorer."""
        if isinstance(event, events.NonFatalError | events.FatalError):
            error = event.value if isinstance(event, events.NonFatalError) else event.exception
            self.failures.setdefault(f"{type(error).__name__}: {error}", []).append(getattr(event, "label", ""))
        if not isinstance(event, events.ScenarioFinished):
            return
        recorder = event.recorder
        self.cases += len(recorder.interactions)
        self.phases[event.phase.value] += len(recorder.interactions)
        for interaction in recorder.interactions.values():
            if interaction.response is not None:
                self.statuses[interaction.response.status_code] += 1
        for case, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    response = recorder.interactions[case].response
                    answer = f"{response.status_code} {response.content[:300]!r}" if response is not None else "nothing"
                    message = " ".join(check.failure_info.failure.message.split())[:200]
                    told = f"{recorder.label}: {check.name}: {message}"
                    self.failures.setdefault(told, []).append(f"{check.failure_info.code_sample}\n  → {answer}")

    def words(self) -> str:
        """The failures, with a few requests each."""
        lines = [
            f"{len(samples)} × {told}\n  " + "\n  ".join(samples[:SHOWN]) for told, samples in self.failures.items()
        ]
        return "\n".join(lines)


def furnish(cast: Cast) -> None:
    """Add a row for every address that the examples of the description name; some belong to Alice and Bob."""
    cast.change(sa.update(models.ClinicSettings).values(horizon_days=365, max_active_visits=100))
    cast.book(cast.alice, "2026-03-04 09:30")
    cast.book(cast.dave, "2026-03-04 10:30")
    cast.book(cast.alice, "2026-03-05 09:30", doctor="erin", visit_type=cast.long)
    bob = cast.doctor_ids["bob"]
    cast.add(models.Closure(name="Summer break", starts_on=date(2026, 8, 3), ends_on=date(2026, 8, 7)))
    leave = {"starts_at": local("2026-04-07 09:00"), "ends_at": local("2026-04-07 17:00")}
    cast.add(models.TimeOff(doctor_id=bob, reason="Leave", **leave))
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 12, 5), start_minute=600, end_minute=720))


def explore(
    cast: Cast,
    who: str,
    *,
    phases: tuple[str, ...] = PHASES,
    examples: int,
    seed: int = 1,
    beyond: bool = True,
    if_match: str | None = None,
    sparse: bool = False,
) -> Found:
    """Send requests of all kinds to a furnished clinic, as one kind of client.

    Args:
        who: a key of `WHO`.
            examples: the number of random requests for each operation, and of chains in all.
            beyond: send values beyond the edges of each schema, too, not only those at the edges.
            if_match: the value of every `If-Match`; `*` passes all preconditions. Without it, any value is sent.
            sparse: send, for each operation, its first requests and then one of several, evenly over all of them.
    """
    client = client_for(cast.database, api_rate_limit=NO_LIMIT, api_rate_limit_anonymous=NO_LIMIT)
    asked: dict[str, Any] = {name: {"enabled": name in phases} for name in PHASES}
    if not beyond:
        asked["coverage"]["generation"] = {"mode": "positive"}
    found = Found()

    token = bearer(client, WHO[who])["authorization"].removeprefix("Bearer ") if WHO[who] else ""
    config = {
        "seed": seed,
        "continue-on-failure": True,
        # As a scheme of the description, so that the explorer knows that it did not make the token up.
        "auth": {"openapi": {"token": {"bearer": token}}} if token else {},
        "generation": {"max-examples": examples, "deterministic": True, "database": "none", "no-shrink": True},
        "parameters": {"header.If-Match": if_match} if if_match else {},
        "phases": asked,
        "checks": CHECKS,
    }
    schema: BaseSchema = schemathesis.openapi.from_asgi(
        "/openapi.json", client.app, config=schemathesis.Config.from_dict(config)
    )
    if sparse:
        _thin_out(schema)
    for event in from_schema(schema.exclude(operation_id="sign_out")).execute():
        found.add(event)
    # Signing out ends the session, so it comes last. No link leads to this operation, which would be an error.
    schema.config.phases.stateful.enabled = False
    for event in from_schema(schema.include(operation_id="sign_out")).execute():
        found.add(event)
    return found


def _thin_out(schema: BaseSchema) -> None:
    """Send, for each operation, its first requests and then one of several."""
    seen = Counter[str]()

    def filter_case(context: HookContext, case: Any) -> bool:  # noqa: ARG001 - its name and parameters are given
        label = case.operation.label
        seen[label] += 1
        return seen[label] <= FIRST or seen[label] % ONE_OF == 0

    schema.hook(filter_case)


# -------------------------------------------------------------------------------------------------- command


def main(arguments: list[str] | None = None) -> int:
    """Run everything; 0 when the API did what its description says."""
    parser = argparse.ArgumentParser(prog="python -m bench.schema", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--who", choices=list(WHO), help="only this one")
    parser.add_argument("--examples", type=int, default=60, help="random requests an operation (60)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other requests")
    options = parser.parse_args(arguments)
    # Deliberate refusals are logged as warnings, thousands of times.
    logging.disable(logging.WARNING)
    rows, failures = [], []
    for kind in [options.database] if options.database else list(NAMES):
        with _migrated(kind) as fresh:
            for who in [options.who] if options.who else list(WHO):
                began, found = time.monotonic(), Found()
                for if_match in (None, "*"):
                    with fresh() as cast:
                        part = explore(cast, who, examples=options.examples, seed=options.seed, if_match=if_match)
                    found.cases += part.cases
                    found.phases += part.phases
                    found.statuses += part.statuses
                    for told, samples in part.failures.items():
                        found.failures.setdefault(told, []).extend(samples)
                rows.append(_row(kind, who, found, time.monotonic() - began))
                say(" ".join(rows[-1]))
                failures.append(found.words())
    print(table(HEADINGS, rows, title="The API and its description"))
    told = "\n".join(filter(None, failures))
    say(told)
    say(paint("Not as described: see above.", BOLD, RED) if told else paint("All as described.", BOLD, GREEN))
    return 1 if told else 0


HEADINGS = ["database", "who", "requests", *PHASES, "2xx", "3xx", "4xx", "5xx", "failures", "took"]


def _row(kind: str, who: str, found: Found, seconds: float) -> list[str]:
    hundreds = Counter[int]()
    for status, count in found.statuses.items():
        hundreds[status // 100] += count
    counts = [found.cases, *(found.phases[name] for name in PHASES), *(hundreds[each] for each in (2, 3, 4, 5))]
    return [NAMES[kind], who, *(f"{count:,}" for count in counts), str(len(found.failures)), f"{seconds:.0f} s"]


@contextmanager
def _migrated(kind: str) -> Iterator[Any]:
    """A factory of furnished clinics on this kind of database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-schema-")))
        server = stack.enter_context(postgres_server()) if kind == "postgresql" else None
        template = folder / "template.db"
        if server is None:
            _migrate(f"sqlite:///{template}")

        @contextmanager
        def fresh() -> Iterator[Cast]:
            with ExitStack() as inner:
                if server is None:
                    path = shutil.copyfile(template, folder / "docket.db")
                    inner.callback(_remove, folder)
                    url = f"sqlite:///{path}"
                else:
                    url = inner.enter_context(new_database(server))
                    _migrate(url)
                database = wired_database(url)
                inner.callback(database.dispose)
                cast = assemble(database)
                furnish(cast)
                yield cast

        yield fresh


def _remove(folder: Path) -> None:
    for each in folder.glob("docket.db*"):
        each.unlink()


def _migrate(url: str) -> None:
    database = wired_database(url)
    try:
        upgrade(database)
    finally:
        database.dispose()


if __name__ == "__main__":
    sys.exit(main())
