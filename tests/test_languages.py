"""Everything that users read is in their language: all pages for every role, flashes, errors and messages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, ORIGIN, assemble
from tests.languages import PSEUDO, has_words, speak, untranslated, wide, without
from tests.reading import read
from tests.test_access import ANSWERS, LOGIN, AccessClinic
from webapp import models
from webapp.clinic import holidays
from webapp.clinic.service import get_clinic
from webapp.core.zones import zone_names
from webapp.database import Database
from webapp.i18n import ENGLISH, speaking
from webapp.notifications.outbox import Channel
from webapp.staff.messages.examples import EMAIL
from webapp.staff.messages.previews import KINDS, MessageKind, write_example

READERS = ("guest", "alice", "bob", "carol")
# Columns that contain users' own text, names or addresses.
COLUMNS = (
    models.User.name,
    models.User.email,
    models.ApiToken.handle,
    models.Patient.name,
    models.Patient.email,
    models.Patient.alert,
    models.Patient.desk_note,
    models.NotificationList.words,
    models.Doctor.name,
    models.Doctor.specialty,
    models.Doctor.slug,
    models.Doctor.room,
    models.Doctor.bio,
    models.VisitType.name,
    models.VisitType.preparation,
    models.Closure.name,
    models.ClinicSettings.name,
    models.ClinicSettings.address,
    models.ClinicDocument.text,
    models.Appointment.reference,
    models.Appointment.reason,
    models.Appointment.private_note,
    models.Appointment.desk_note,
    models.Appointment.override_reason,
    models.Appointment.squeeze_reason,
    models.WalkIn.note,
    models.UserSession.address,
    models.UserSession.user_agent,
    models.AuditEvent.address,
    models.SecurityEvent.about,
    models.OutboxMessage.recipient,
    models.OutboxMessage.message_id,
)
# One query, because each page asks for them twice.
OWN_TEXTS = str(sa.union(*(sa.select(column) for column in COLUMNS)))
EXAMPLES = {"K7QM-2F9X", "EXAM-PLE2", "EXAM-PLE3", EMAIL}
OWN_WORDS = {"Docket", "DOCKET_SMTP_URL", "docket worker", "docket_", "openapi.json", "hospital"}
NAMES = {"UTC", "Firefox", "Linux", *OWN_WORDS, *EXAMPLES}


@pytest.fixture(scope="module")
def access(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, open_database: Callable[[str], Database]
) -> Iterator[AccessClinic]:
    path = tmp_path_factory.mktemp("languages") / "docket.db"
    shutil.copyfile(sqlite_template, path)
    database = open_database(f"sqlite:///{path}")
    clinic = AccessClinic(assemble(database))
    for role in READERS:
        speak(clinic.clients[role], PSEUDO)
    yield clinic
    database.dispose()


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Text that may be on a page untranslated; it only grows, because pages may still show deleted names."""
    found = set(NAMES)
    for zone in (zone for several in zone_names().values() for zone in several):
        found |= {zone, *zone.replace("_", " ").split("/")}
    return (
        found | set(holidays.regions("NL").values()) | {each.name for each in holidays.public_holidays("NL", "", 2026)}
    )


def learn(known: set[str], database: Database) -> None:
    """Add the names, addresses and texts that are in the database now."""
    with database.reading() as session:
        texts = {text for text in session.scalars(sa.text(OWN_TEXTS)) if text}
        texts |= {each for several in session.scalars(sa.select(models.Doctor.languages)) for each in several}
    for text in texts - known:
        known |= {text, *text.split(", "), *text.split(), "".join(word[0] for word in text.split() if word != "Dr.")}
        # A narrow column may break an address before its @.
        name, at, domain = text.partition("@")
        known |= {name, at + domain} if at else set()


# A stored message is shown in the language of its recipient, and the other routes are for programs.
OTHERS = {"/static", "/openapi.json", "/health/ready", "/metrics", "/admin/messages/{message_id}/document"}
PAGES = [(method, path) for method, path in ANSWERS["carol"] if path not in OTHERS]


def readers_of(method: str, path: str) -> list[str]:
    """The roles whose answer differs from the general refusals."""
    return [role for role in READERS if ANSWERS[role][method, path] not in {LOGIN, 401, 403, 404}] or ["carol"]


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_every_page_is_in_the_language_of_its_reader(
    access: AccessClinic, known: set[str], method: str, path: str
) -> None:
    suspect: list[str] = []
    for role in readers_of(method, path):
        client = access.client(role)
        address, form = access.complete_request(role, method, path)
        answers = [client.request(method, address, data=form)]
        if form:
            # The errors of an incomplete form are in their language, too.
            address, _form = access.request_for(role, method, path)
            answers.append(client.request(method, address, data={}))
        for answer in answers:
            seen = client.get(answer.headers["location"]) if answer.status_code == 303 else answer
            suspect += suspicious(seen)
    if without(suspect, known):
        learn(known, access.cast.database)
    assert without(suspect, known) == []


def suspicious(answer: httpx2.Response) -> list[str]:
    """Each piece of an answer with an untranslated word."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "text/html":
        page = read(answer)
        assert all(html["lang"] == "xx" for html in page.all("html"))
        return untranslated(page)
    said = answer.json()["detail"] if kind == "application/problem+json" else ""
    return [said] if has_words(said) else []


def test_two_readers_at_the_same_time_have_each_their_own_language(access: AccessClinic) -> None:
    """One application, one process, two threads, and each reader gets twenty pages in their own language."""
    app: Any = access.clients["guest"].app
    by_header = {b"xx": PSEUDO, b"en": ENGLISH}
    app.state.language_of = lambda scope: by_header[dict(scope["headers"])[b"accept-language"]]
    both = Barrier(2)

    def read_pages(tag: str) -> list[tuple[str, str]]:
        client = TestClient(app, base_url=ORIGIN)
        both.wait()
        pages = [read(client.get("/register", headers={"accept-language": tag})) for _ in range(20)]
        return [(page.one("html")["lang"], page.one("label", for_="password").text) for page in pages]

    with ThreadPoolExecutor(2) as pool:
        english, pseudo = pool.map(read_pages, ("en", "xx"))
    speak(access.clients["guest"], PSEUDO)
    assert set(english) == {("en", "Password")}
    assert set(pseudo) == {("xx", wide("Password"))}


@pytest.mark.parametrize(("kind", "channel"), [(kind, channel) for kind in KINDS for channel in kind.channels])
def test_every_message_is_in_the_language_of_its_recipient(
    access: AccessClinic, known: set[str], kind: MessageKind, channel: Channel
) -> None:
    learn(known, access.cast.database)
    with access.cast.database.reading() as session:
        clinic = get_clinic(session)
    with speaking(PSEUDO):
        message = write_example(kind, channel, clinic, base_url=ORIGIN, now=NOW)
    html = read(message.html)
    assert [each["lang"] for each in html.all("html")] == (["xx"] if channel == "email" else [])
    words = [line for line in message.calendar.replace("\r\n ", "").splitlines() if line.startswith(SAID_IN_CALENDARS)]
    plain = [message.subject, *message.text.splitlines(), *(line.partition(":")[2] for line in words)]
    assert bool(words) == bool(message.calendar)
    assert without([*untranslated(html), *plain], known) == []


SAID_IN_CALENDARS = ("SUMMARY", "DESCRIPTION")
