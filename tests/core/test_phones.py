"""Telephone numbers: what is read, what is refused and why, and how a stored one is shown and called."""

from __future__ import annotations

import pytest

from webapp.core import phones
from webapp.exceptions import Invalid


@pytest.mark.parametrize(
    ("typed", "country", "stored"),
    [
        ("", "NL", ""),
        ("   ", "NL", ""),
        ("06 1234 5678", "NL", "+31612345678"),
        ("0612345678", "NL", "+31612345678"),
        ("+31 6 12345678", "NL", "+31612345678"),
        ("0031612345678", "NL", "+31612345678"),
        ("0031 (0)6-12 34 56 78", "NL", "+31612345678"),
        ("+31 (0)20 123 4567", "NL", "+31201234567"),
        ("\u202a+31\u00a06\u20111234 5678\u202c", "NL", "+31612345678"),
        ("tel:+31-6-12345678", "NL", "+31612345678"),
        ("０６１２３４５６７８", "NL", "+31612345678"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("06 30 123 4567", "HU", "+36301234567"),
        ("8 912 345-67-89", "RU", "+79123456789"),
        ("06 698 12345", "IT", "+390669812345"),
        ("+44 7911 123456", "NL", "+447911123456"),
        ("+31612345678", "", "+31612345678"),
        # Ranges that are not known: new ones come before a release of the library that knows them.
        ("06 0123 4567", "NL", "+31601234567"),
        ("06123456 7", "NL", "+3161234567"),
    ],
)
def test_a_number_is_stored_in_e164(typed: str, country: str, stored: str) -> None:
    assert phones.read_phone(typed, country) == stored


@pytest.mark.parametrize(
    ("typed", "country", "code"),
    [
        ("()", "NL", "phone"),
        ("-", "NL", "phone"),
        ("call me", "NL", "phone"),
        ("call me 06 1234 5678", "NL", "phone"),
        ("1-800-FLOWERS", "US", "phone"),
        ("+999 123456", "NL", "phone"),
        ("1" * 41, "NL", "phone"),
        ("112", "NL", "phone_emergency"),
        ("911", "US", "phone_emergency"),
        ("144", "CH", "phone_emergency"),
        ("020 123 4567 ext 12", "NL", "phone_extension"),
        ("020 123 4567 x12", "NL", "phone_extension"),
        ("020 123 4567 #12", "NL", "phone_extension"),
        ("020 1", "NL", "phone_too_short"),
        ("06 1234 5678 9012", "NL", "phone_too_long"),
        ("555-2671", "US", "phone_area_code"),
        ("020 123 4567", "", "phone_country"),
    ],
)
def test_numbers_that_cannot_be_called_are_refused_with_a_reason(typed: str, country: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        phones.read_phone(typed, country)
    assert (caught.value.code, caught.value.field) == (code, "phone")


def test_a_stored_number_may_stay_as_it_was_typed() -> None:
    assert phones.read_phone("ask for Zoë", "NL", saved="ask for Zoë") == "ask for Zoë"


@pytest.mark.parametrize(
    ("stored", "country", "shown"),
    [
        ("+31612345678", "NL", "06 12345678"),
        ("+31201234567", "NL", "020 123 4567"),
        ("+31201234567", "BE", "+31 20 123 4567"),
        ("+31201234567", "", "+31 20 123 4567"),
        # Guernsey is dialled in Britain as any other number.
        ("+447911123456", "GB", "07911 123456"),
        ("020 1", "NL", "020 1"),
        ("", "NL", ""),
    ],
)
def test_a_number_is_shown_as_people_there_know_it(stored: str, country: str, shown: str) -> None:
    assert phones.shown(stored, country) == shown


def test_text_messages_go_to_numbers_that_can_be_mobile() -> None:
    can = {
        "+31612345678": True,
        "+14155552671": True,
        "+31201234567": False,
        "+319001234": False,
        "+318001234": False,
        "+3112345": False,
        "06 12345678": False,
        "": False,
    }
    assert {number: phones.can_get_texts(number) for number in can} == can


def test_a_number_that_may_be_wrong_is_pointed_out() -> None:
    assert phones.doubt_about("") == phones.doubt_about("+31612345678") == ""
    assert phones.doubt_about("+3161234567") == "This number may be wrong. Please check it."
    assert phones.doubt_about("020 1") == "This is not a complete phone number. Please correct it."


def test_a_link_calls_the_number() -> None:
    assert phones.dialled("+31201234567") == "+31201234567"
    assert phones.dialled("+31 (0)20-123 45 67") == "+31201234567"
