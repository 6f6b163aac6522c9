"""Text as people paste it: invisible signs are removed at every entrance."""

from __future__ import annotations

import unicodedata
from time import perf_counter
from typing import Any

import pytest
from starlette.datastructures import FormData
from wtforms import PasswordField, StringField, TextAreaField

from webapp.core.day_hours import UnreadableHours, parse_hours
from webapp.core.email_address import normal_email
from webapp.core.forms import DocketForm
from webapp.core.names import sort_key
from webapp.core.parsing import instant, parse_day, reference_in, whole_number
from webapp.core.text import bare, plain, tidy, tidy_json, tidy_line

NFD = unicodedata.normalize("NFD", "Zoë")


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("plain", "plain"),
        ("\u202ano\u202c", "no"),
        ("soft\u00adhyphen\u200b", "softhyphen"),
        ("two\u00a0words\u202fhere", "two words here"),
        ("\ufeffone\nline\ttwo", "one\nline\ttwo"),
        (NFD, "Zoë"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d👧 \u200f", "👩\u200d👧 "),
    ],
)
def test_text_is_what_people_see(pasted: str, meant: str) -> None:
    assert tidy(pasted) == meant


def test_a_line_has_single_spaces_and_no_marks_of_direction() -> None:
    assert tidy_line("\u200e Anna \u00a0 van\u200f der\tBerg\u200d ") == "Anna van der Berg"
    assert tidy_line("نی\u200cما") == "نی\u200cما"


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("\u202a+31\u00a020\u20117654\u202c", "+31 20-7654"),
        ("k7qm\u20132f9x\u200b", "k7qm-2f9x"),
        ("a\u200db", "ab"),
    ],
)
def test_numbers_and_codes_keep_nothing_unseen(pasted: str, meant: str) -> None:
    assert bare(pasted) == meant


# As many as fit into the largest body of a request, as a form sends them.
MANY = 170_000


@pytest.mark.parametrize("heap", [
    "a" + "\u0300" * (MANY // 2) + "\u0316" * (MANY // 2), "a" + "\u0315\u0300" * (MANY // 2),
    "é" + "\u200e" * MANY + "x", "é" + "\u200c" * MANY + "x", "e\u0301" * (MANY // 2),
    "\u1100\u1161\u11a8" * (MANY // 3),
])  # fmt: skip
def test_text_that_is_slow_to_normalise_holds_nothing_up(heap: str) -> None:
    before = perf_counter()
    for read in (tidy, tidy_line, bare, plain, sort_key):
        read(heap)
    normal_email(f"{heap}@{heap}.example")
    with pytest.raises(UnreadableHours):
        parse_hours(heap)
    assert perf_counter() - before < 10, "It took minutes."


def test_no_language_loses_its_marks() -> None:
    # Tibetan, Hebrew with points and accents, Vietnamese, and thirty marks on one letter.
    for text in ("ཧྐྵྨླྺྼྻྂ", "בְּרֵאשִׁ֖ית", "Nguyễn Thị Ngọc Ánh", "o" + "\u0323\u0302" * 15):
        assert tidy(text) == unicodedata.normalize("NFC", text)
    assert len(tidy("x" + "\u0302" * 40)) == 31


def test_ids_days_instants_and_references_are_read_as_they_were_pasted() -> None:
    assert whole_number("\u200b42\u00a0") == 42
    assert str(parse_day("\u202a2026\u201112\u201125\u202c")) == "2026-12-25"
    assert instant("2026-12-01T09:30:00Z\u200b") is not None
    for typed in ("k7qm\u20112f9x", " K7QM 2F9X\u200b", "K7QM2F9X"):
        assert reference_in(typed) == "K7QM-2F9X"
    assert reference_in("K7QM2F9X", surely=True) == "K7QM-2F9X"
    assert reference_in("Isabella", surely=True) is None
    assert reference_in("Anna Smit") == "ANNA-SMIT"
    assert reference_in("anybody else") is None


class Typed(DocketForm):
    """A form as any other: nothing in it says that its text is tidied."""

    name = StringField("Name")
    words = TextAreaField("Words")
    password = PasswordField("Password")


def test_every_form_tidies_its_texts_but_for_passwords() -> None:
    pasted = f"\u202a{NFD}\u00a0\u200bB\u202c"
    form = Typed(FormData({"name": pasted, "words": f"{pasted}\n{pasted}", "password": pasted}))
    assert (form.name.data, form.words.data) == ("Zoë B", "Zoë B\nZoë B")
    assert form.password.data == pasted


def test_a_body_of_json_is_tidied_but_for_its_secrets() -> None:
    body: Any = {"name": NFD, "days": [{"why": "a\u200bb"}], "password": NFD, "count": 3}
    assert tidy_json(body) == {
        "name": "Zoë", "days": [{"why": "ab"}], "password": NFD, "count": 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["O'Neil", "O’Neil", "Oʼneil", "O`Neil", "o´neil", "ONeil"])
def test_an_apostrophe_is_found_however_it_was_typed(name: str) -> None:
    assert plain(name) == "oneil"
