"""The clinic's privacy notice and imprint, who has read them, and the line for emergencies."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.clinic import documents
from webapp.clinic.documents import PublishDocument
from webapp.clinic.documents_router import Paragraph, paragraphs_of
from webapp.patients.schemas import Register
from webapp.patients.service import register

FIRST = "# Who is responsible\nHarbour Lane Clinic"


def publish(cast: Cast, text: str = FIRST, *, again: bool = False) -> int:
    command = PublishDocument(text=text, asks_again=again)
    return cast.database.write(documents.publish_document, cast.carol, "privacy", command, now=NOW)


def consents(cast: Cast, user_id: int) -> list[int]:
    query = sa.select(models.ClinicDocument.version).join(models.Consent).where(models.Consent.user_id == user_id)
    with cast.database.reading() as session:
        return list(session.scalars(query.order_by(models.ClinicDocument.version)))


def test_nothing_is_shown_before_an_admin_completes_and_publishes_it(client: TestClient, cast: Cast) -> None:
    assert client.get("/privacy").status_code == 404
    assert "/privacy" not in read(client.get("/")).links
    assert "privacy notice" not in read(client.get("/register")).text
    with log_in(client_for(cast.database), "carol") as admin:
        for kind in documents.KINDS:
            address = f"/admin/clinic/documents/{kind}"
            assert address in read(admin.get("/admin/clinic")).links
            form = read(admin.get(address)).form(address)
            assert "This is an outline" in form["text"]
            refused = admin.post(address, data=form)
            assert refused.status_code == 422
            assert "double brackets" in read(refused).text
            assert admin.post(address, data={"text": FIRST}).status_code == 303
        assert admin.get("/admin/clinic/documents/other").status_code == 404
    for kind in documents.KINDS:
        assert f"/{kind}" in read(client.get("/")).links
        page = read(client.get(f"/{kind}"))
        assert "Harbour Lane Clinic" in page.text
        assert "Version 1" in page.text
    assert "you’ve read our privacy notice" in read(client.get("/register")).text


def test_an_account_keeps_which_version_it_was_shown(cast: Cast) -> None:
    new = Register(name="Nina New", email="nina@docket.example", password="walrus teapot orbit")
    other = new.model_copy(update={"email": "nora@docket.example"})
    before = cast.database.write(register, new, "hash", now=NOW)
    publish(cast)
    assert consents(cast, before) == []
    assert consents(cast, cast.database.write(register, other, "hash", now=NOW)) == [1]
    # The same text is no new version, and a published one stays readable.
    assert publish(cast) == 1
    assert publish(cast, f"{FIRST}\n\nAnd more of it.") == 2
    with client_for(cast.database) as client:
        assert "And more of it" not in read(client.get("/privacy?version=1")).text
        assert "And more of it" in read(client.get("/privacy")).text


@pytest.mark.both_databases
def test_everyone_is_asked_again_where_the_clinic_says_so(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    publish(cast)
    assert "has changed" not in read(client.get("/account")).text
    publish(cast, f"{FIRST}\n\nSomething important.", again=True)
    page = read(client.get("/appointments"))
    assert "Our privacy notice has changed." in page.text
    answer = client.post("/privacy/read?next=/appointments")
    assert (answer.status_code, answer.headers["location"]) == (303, "/appointments")
    assert "Our privacy notice has changed." not in read(client.get("/appointments")).text
    assert consents(cast, cast.alice.user_id) == [2]
    # Later versions count as well, and staff are not asked.
    publish(cast, f"{FIRST}\n\nA comma.")
    assert "has changed." not in read(client.get("/account")).text
    with log_in(client_for(cast.database), "carol") as staff:
        assert "Our privacy notice" not in read(staff.get("/account")).text


def test_a_text_is_read_as_headings_and_paragraphs() -> None:
    text = "# One\nfirst\nline\n\n\n# Two\n# Three\n<b>last</b>"
    assert paragraphs_of(text) == [
        Paragraph(True, "One"),
        Paragraph(False, "first\nline"),
        Paragraph(True, "Two"),
        Paragraph(True, "Three"),
        Paragraph(False, "<b>last</b>"),
    ]


@pytest.mark.both_databases
def test_the_line_for_emergencies_is_where_patients_need_it(client: TestClient, cast: Cast) -> None:
    line = "In an emergency, call 112."
    assert line in read(client.get("/")).text
    assert client.get("/api/v1/clinic").json()["emergency_phone"] == "112"
    log_in(client, "alice")
    start = local("2026-03-10 09:00").strftime("%Y-%m-%dT%H:%M:%SZ")
    assert line in read(client.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at={start}")).text
    assert line in read(client.get(f"/appointments/{cast.book(cast.alice, '2026-03-11 09:00')}")).text
    # The number of the country, until the clinic has its own words.
    cast.change(sa.update(models.ClinicSettings).values(country="US"))
    assert "In an emergency, call 911." in read(client.get("/")).text
    with log_in(client_for(cast.database), "carol") as admin:
        address = "/admin/clinic/emergency"
        form = read(admin.get(address)).form(address)
        assert admin.post(address, data=form | {"emergency_phone": "call us"}).status_code == 422
        words = {"emergency_phone": "911", "emergency_text": "Chest pain? Don’t book, call"}
        assert admin.post(address, data=form | words).status_code == 303
    assert "Chest pain? Don’t book, call 911" in read(client.get("/")).text
