"""Finding doctors by what people type: what is on offer is found under the names that people have for it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, log_in
from tests.reading import Element, read
from webapp import models
from webapp.clinic.search_words import readable_lines, words_by_subject

BOB, ERIN = "Dr. Bob Brown", "Dr. Erin Eze"


def found(client: TestClient, text: str) -> list[str]:
    page = read(client.get("/doctors", params={"q": text}))
    return sorted(item.one("h3").text for item in page.all("li", class_="doctor"))


def offers(page: Element) -> list[str]:
    return [item.one("p", class_="offer").text for item in page.all("li", class_="doctor")]


@pytest.mark.parametrize(
    ("text", "doctors"),
    [
        ("skin", [BOB, ERIN]),
        ("rash", [BOB, ERIN]),
        ("acné", [BOB, ERIN]),
        ("DERMATOLOGIST", [ERIN]),
        ("GP", [BOB]),
        ("family doctor", [BOB]),
        ("allergies", [ERIN]),
        ("hay fever", [ERIN]),
        ("dr. bob", [BOB]),
        ("erin allergy", [ERIN]),
        ("doctor", [BOB, ERIN]),
        ("heart", []),
        ("operation", []),
    ],
)
def test_doctors_are_found_by_their_offer(client: TestClient, cast: Cast, text: str, doctors: list[str]) -> None:
    assert found(client, text) == doctors
    names = [each["name"] for each in client.get("/api/v1/doctors", params={"q": text}).json()]
    assert sorted(names) == doctors


def test_profiles_are_searched_and_a_visit_type_that_is_asked_for_is_offered(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.Doctor).where(models.Doctor.id == cast.doctor_ids["erin"]).values(bio="Loves Zürich."))
    assert found(client, "zurich") == [ERIN]
    assert offers(read(client.get("/doctors?q=allergy+test"))) == ["Allergy test · 30 minutes"]
    assert offers(read(client.get("/doctors?q=first+visit")))[0] == "First visit · 30 minutes"


def test_the_clinics_own_words_are_found_immediately(client: TestClient, cast: Cast) -> None:
    assert found(client, "freckles") == []
    log_in(client, "carol")
    page = read(client.get("/admin/clinic/search"))
    assert "Allergy test" in page.text
    form = page.form("/admin/clinic/search")
    words = "dermatology :  freckles, sunburn\n\nAllergy test: pollen"
    refused = client.post("/admin/clinic/search", data={**form, "search_words": "Dermatology freckles"})
    assert refused.status_code == 422
    assert "Write each line as a name, a colon and words" in read(refused).text
    sent = {**form, "search_words": words, "first_specialty": "Dermatology"}
    assert client.post("/admin/clinic/search", data=sent, follow_redirects=False).status_code == 303
    assert "dermatology: freckles, sunburn; Allergy test: pollen" in read(client.get("/admin/clinic")).text
    assert (found(client, "Freckles"), found(client, "sunburn")) == ([ERIN], [ERIN])
    assert offers(read(client.get("/doctors?q=pollen"))) == ["Allergy test · 30 minutes"]


@pytest.mark.both_databases
def test_the_clinics_first_specialty_leads_until_a_filter_is_set(client: TestClient, cast: Cast) -> None:
    def names(address: str) -> list[str]:
        return [item.one("h3").text for item in read(client.get(address)).all("li", class_="doctor")]

    assert names("/") == [BOB, ERIN]
    cast.change(sa.update(models.ClinicSettings).values(first_specialty="Dermatology"))
    cast.change(sa.delete(models.WorkingHours).where(models.WorkingHours.weekday == 0))
    cast.change(
        sa.update(models.WorkingHours)
        .where(models.WorkingHours.doctor_id == cast.doctor_ids["erin"])
        .values(start_minute=16 * 60, end_minute=17 * 60)
    )
    assert names("/") == [ERIN, BOB]
    page = read(client.get("/"))
    assert "Dermatology first, then the earliest." in page.text
    assert "Earliest free time, Dermatology" in page.one("section", class_="slip").text
    assert names("/doctors?language=English")[0] == BOB
    # If it has no free time, the others come first.
    cast.change(sa.delete(models.WorkingHours).where(models.WorkingHours.doctor_id == cast.doctor_ids["erin"]))
    assert names("/") == [BOB, ERIN]


def test_a_search_that_finds_nothing_leads_on_without_scripts(client: TestClient, cast: Cast) -> None:
    page = read(client.get("/doctors?q=alergy"))
    assert [option["value"] for option in page.one("datalist").all("option")] == [
        "Allergy test",
        "Dermatology",
        "First visit",
        "Follow-up",
        "General practice",
        "Skin procedure",
    ]
    assert "Did you mean allergy?" in page.text
    assert "/doctors?q=allergy" in page.links
    assert "/doctors?q=General%20practice" in page.links or "/doctors?q=General+practice" in page.links
    assert "Did you mean" not in read(client.get("/doctors?q=xyzzyq")).text
    # "huisarts" finds doctors of general practice, but no page of the clinic says it.
    assert "Did you mean" not in read(client.get("/doctors?q=my+hurts")).text


def test_lines_of_own_words() -> None:
    assert readable_lines(" Skin :  moles , rash \n\n") == "Skin: moles , rash"
    for wrong in ("Skin", "Skin:", ": moles", "Skin: ,"):
        with pytest.raises(ValueError, match="colon"):
            readable_lines(wrong)
    # What was written at a database console does not break the search.
    assert words_by_subject("Skin\nÉczema: itch\neczema: rash") == {"skin": "", "eczema": "itch rash"}
