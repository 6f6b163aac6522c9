"""Every link and form of every page leads somewhere, for a guest, a patient, a doctor, the front desk and the admin.

A crawl starts at every page in the table of `tests.test_access` and follows what it finds there: links, what HTMX
loads, and forms that ask, as they are and with other choices. It opens an address whose kind it has not seen. Forms
that change data are not sent, but the table must let their reader send them. On each page, ids are unique, and every
reference to an id finds it; fields, buttons and links have names, and no heading leaves a level out. No page shows a
doctor's note to another reader and, as the clinic has chosen here, none shows a patient's reason to the front desk, nor
a doctor's reason for time off.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute

from tests.cast import NOW, ORIGIN, Cast, another, assemble, local, promised
from tests.reading import Element, read
from tests.test_access import ANSWERS, NOTE, REASON, AccessClinic
from webapp import models
from webapp.core.routing import all_routes
from webapp.event_handlers import wired_database

READERS = ("guest", "alice", "bob", "fiona", "carol")
OUR_REFERENCES = ("for", "form", "list", "popovertarget", "hx-target", "hx-indicator")
HEADINGS = {f"h{level}": level for level in range(1, 7)}
ARIA_REFERENCES = ("aria-labelledby", "aria-describedby", "aria-controls", "aria-owns")
# Refusals that are right: a page whose own form is not filled in yet, or says what does not fit.
REFUSED = {
    (422, "/admin/appointments/why"): "No day and time were entered yet.",
    (403, "/appointments/{reference}/reason"): "The clinic shows the front desk no reasons, so it changes none.",
    (403, "/book"): "A doctor who reads a colleague's public page learns that only the front desk books there.",
}
LEAVE = "an operation of her own"
# Each reader, and the words that no page may show this reader.
UNSEEN = {"alice": (NOTE, LEAVE), "bob": (LEAVE,), "fiona": (NOTE, REASON, LEAVE), "carol": (NOTE,)}
# The links in a message are for its recipient, and those of an example lead to no appointment.
DOCUMENT = re.compile(r"/admin/messages/.*/document")


@dataclass
class Crawl:
    """The pages that one reader has opened, and their faults."""

    clinic: AccessClinic
    role: str
    routes: list[tuple[re.Pattern[str], str, set[str]]]
    known: set[object] = field(default_factory=set)
    opened: int = 0
    wrong: list[str] = field(default_factory=list)
    waiting: deque[tuple[str, str]] = field(default_factory=deque)
    # Most links of a page are in its menu.
    noted: set[tuple[str, str]] = field(default_factory=set)
    found: dict[tuple[str, str], str] = field(default_factory=dict)

    def run(self) -> None:
        """Open every page that this reader may open, and all that these lead to."""
        # One application for all readers: its templates are compiled once.
        cookies = self.clinic.client(self.role).cookies
        client = another(self.clinic.clients["guest"])
        client.cookies.update(cookies)
        for (method, path), expected in ANSWERS[self.role].items():
            if method == "GET" and expected == 200:
                self.wait_for("/", self.clinic.request_for(self.role, method, path)[0])
        while self.waiting:
            origin, address = self.waiting.popleft()
            self.opened += 1
            answer = client.get(address)
            location = answer.headers.get("location", "")
            self.wrong += [f"“{text}” at {address}" for text in UNSEEN.get(self.role, ()) if text in answer.text]
            if answer.status_code >= 400:
                refused = re.sub(r"/appointments/[^/]+/", "/appointments/{reference}/", urlsplit(address).path)
                if (answer.status_code, refused) not in REFUSED:
                    self.wrong.append(f"{answer.status_code} at {address}, from {origin}")
            elif location and not location.startswith("/login"):
                self.wait_for(address, location)
            elif answer.headers.get("content-type", "").startswith("text/html") and not DOCUMENT.match(address):
                self.look(address, read(answer))

    def look(self, address: str, page: Element) -> None:
        """Check one page, and note what it leads to."""
        ids = Counter(each["id"] for each in page.all() if each.get("id") is not None)
        self.wrong += [f"the id {each!r} stands {times} times at {address}" for each, times in ids.items() if times > 1]
        self.wrong += [f"{each!r} is not at {address}" for each in references(page) - set(ids)]
        self.wrong += [f"{fault} at {address}" for fault in nameless(page)]
        for target in links(page):
            self.wait_for(address, target)
        for form in page.all("form"):
            # Buttons elsewhere on the page may belong to the form, and say where they send it.
            buttons = [*form.all("button"), *page.all("button", form=form.get("id") or "none")]
            targets = {each["formaction"] for each in buttons if each.get("formaction")}
            action = form.get("action") or address
            if form.get("method") == "post":
                for target in targets | ({action} if form.get("action") or (buttons and not targets) else set()):
                    path = self.route(urlsplit(target).path, "POST")
                    if ANSWERS[self.role].get(("POST", path)) in {None, 401, 403}:
                        self.wrong.append(f"{self.role} may not send the form to {target} at {address}")
            else:
                others = {each["name"]: each.all("option")[-1]["value"] for each in form.all("select")}
                self.wait_for(address, f"{action}?{urlencode(form.values())}", "as it is")
                self.wait_for(address, f"{action}?{urlencode(form.values() | others)}", "with other choices")

    def wait_for(self, origin: str, link: str, variant: str = "") -> None:
        """Note an address of ours, if nothing like it was opened.

        It is new if its route is, or two names of its query together, or a word among its values.
        """
        if link.startswith("/"):
            if (link, variant) in self.noted:
                return
            self.noted.add((link, variant))
        address = urljoin(ORIGIN + origin, link).removeprefix(ORIGIN).partition("#")[0]
        if not address.startswith("/"):
            return
        path, _mark, query = address.partition("?")
        route = self.route(path, "GET")
        # A second "?" is a mistake, but still starts a name.
        parts = [part.partition("=") for part in re.split(r"[&?]", query)]
        names = {name for name, _is, _value in parts}
        words = {(name, value) for name, _is, value in parts if value.isalpha()}
        kinds = {
            (route, variant),
            *((route, *pair) for pair in product(names, names)),
            *((route, *each) for each in words),
        }
        if kinds - self.known:
            self.known |= kinds
            self.waiting.append((origin, address))

    def route(self, path: str, method: str) -> str:
        """The route of a path, or the path itself if it has none."""
        if (path, method) not in self.found:
            fitting = (route for regex, route, methods in self.routes if method in methods and regex.match(path))
            self.found[path, method] = next(fitting, path)
        return self.found[path, method]


def links(page: Element) -> Iterator[str]:
    """Where the links of a page lead, and what it loads."""
    for each in page.all():
        if each.name == "a" and each.get("href"):
            yield each["href"]
        elif each.name in {"img", "iframe", "script", "link"}:
            yield each.get("src") or each.get("href") or ""
        if each.name != "form" and each.get("hx-get"):
            yield each["hx-get"]


def references(page: Element) -> set[str]:
    """The ids that a page refers to."""
    found: set[str] = set()
    for each in page.all():
        found.update(*((each.get(name) or "").split() for name in ARIA_REFERENCES))
        found |= {(each.get(name) or "").removeprefix("#") for name in OUR_REFERENCES}
        if each.name == "a" and (each.get("href") or "").startswith("#"):
            found.add(each["href"][1:])
    return found - {"", "this"}


def nameless(page: Element) -> Iterator[str]:
    """Fields, buttons, links and pictures without a name, and headings that leave a level out."""
    labels = page.all("label")
    named = {each.get("for") for each in labels if each.text}
    within = {id(field) for each in labels if each.text for field in each.all()}
    level = 1
    for each in page.all():
        has_name = any(each.get(name) for name in ("aria-label", "aria-labelledby", "title"))
        if each.name in {"input", "select", "textarea"} and "hidden" not in {each.get("type"), *each.attributes}:
            if not (has_name or id(each) in within or (each.get("id") and each["id"] in named)):
                yield f"the field {each.attributes} has no label"
        elif each.name == "button" or (each.name == "a" and each.get("href") is not None):
            if not (has_name or each.text or any(picture.get("alt") for picture in each.all("img"))):
                yield f"<{each.name} {each.attributes}> has no name"
        elif each.name == "img" and each.get("alt") is None:
            yield f"the picture {each.attributes} has no alternative"
        elif each.name in HEADINGS:
            if HEADINGS[each.name] > level + 1:
                yield f"the heading “{each.text}” leaves a level out"
            level = HEADINGS[each.name]
    # The pages about the API are made by scripts.
    if page.all("html") and not page.all("main", id="api") and len(page.all("h1")) != 1:
        yield f"{len(page.all('h1'))} headings of the first level"


@pytest.fixture(scope="module")
def clinic(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessClinic]:
    path = tmp_path_factory.mktemp("links") / "docket.db"
    shutil.copyfile(sqlite_template, path)
    database = wired_database(f"sqlite:///{path}")
    access = AccessClinic(assemble(database))
    fill(access.cast)
    yield access
    database.dispose()


def fill(cast: Cast) -> None:
    """Make the lists longer than a page, and give today and tomorrow appointments of every kind."""
    cast.change(sa.update(models.ClinicSettings).values(desk_sees_reasons=False))
    start = local("2026-03-02 09:00")
    away = {"doctor_id": cast.doctor_ids["erin"], "starts_at": start, "ends_at": start + timedelta(days=3)}
    cast.add(models.TimeOff(**away, reason=LEAVE))
    for number in range(60):
        starts_at = start + timedelta(days=number // 24, minutes=15 * (number % 24))
        times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(minutes=15)}
        statuses = ("scheduled", "confirmed", "arrived", "completed", "no_show", "cancelled")
        cast.add(
            models.Appointment(
                reference=f"BBBB-{number:04d}",
                doctor_id=cast.doctor_ids["bob"],
                patient_id=cast.patient_ids["alice" if number % 2 else "dave"],
                visit_type_id=cast.short,
                **times,
                busy_from=starts_at,
                busy_until=times["ends_at"],
                promised_minute=promised(starts_at),
                status=statuses[number % 6],
                reason=REASON,
                private_note=NOTE,
                cancellation_reason=REASON if number % 6 == 5 else "",
                flagged_why="closed" if number % 5 == 0 else None,
                created_at=NOW,
                updated_at=NOW,
            )
        )


@pytest.mark.parametrize("role", READERS)
def test_every_link_and_form_leads_somewhere_and_every_id_is_unique(clinic: AccessClinic, role: str) -> None:
    app: Any = clinic.clients["guest"].app
    routes = [each for each in all_routes(app.routes) if isinstance(each, APIRoute)]
    crawl = Crawl(clinic, role, [(each.path_regex, each.path, set(each.methods or ())) for each in routes])
    crawl.run()
    assert crawl.wrong == [], "\n".join(crawl.wrong)
    assert crawl.opened > 50
