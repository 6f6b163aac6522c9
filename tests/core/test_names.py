"""The parts of names: their initials, and their place in lists."""

from __future__ import annotations

import pytest

from webapp.core import names
from webapp.core.names import Parts


@pytest.mark.parametrize(
    ("name", "given", "particles", "family"),
    [
        ("Anna Jansen", "Anna", "", "Jansen"),
        ("Anna van der Berg", "Anna", "van der", "Berg"),
        ("Anna Van den Berg", "Anna", "", "Van den Berg"),
        ("Berg, Anna van der", "Anna", "van der", "Berg"),
        ("van der Berg", "", "van der", "Berg"),
        ("Van Dyke", "Van", "", "Dyke"),
        ("Dr. Amara Okafor", "Amara", "", "Okafor"),
        ("Prof. Dr. Ludwig von Mises", "Ludwig", "von", "Mises"),
        ("mw. J. de Vries", "J.", "de", "Vries"),
        ("Sam Davis Jr.", "Sam", "", "Davis"),
        ("Jane Doe, PhD", "PhD", "", "Jane Doe"),
        ("Jean-Luc Le Goff", "Jean-Luc", "", "Le Goff"),
        ("Maria de la Cruz", "Maria", "de la", "Cruz"),
        ("Al Pacino", "Al", "", "Pacino"),
        ("Ali ibn Sina", "Ali", "ibn", "Sina"),
        ("Wim van ’t Hoff", "Wim", "van ’t", "Hoff"),
        ("李 明", "明", "", "李"),
        ("李明", "", "", "李明"),
        ("Madonna", "", "", "Madonna"),
        ("Dr.", "", "", "Dr."),
    ],
)
def test_a_name_is_taken_apart(name: str, given: str, particles: str, family: str) -> None:
    assert names.parts_of(name) == Parts(given, particles, family)


def test_initials_leave_titles_out() -> None:
    assert names.initials("Dr. Amara Okafor") == ["A", "O"]
    assert names.initials("anna van der berg") == ["A", "V", "D", "B"]
    assert names.initials("Dr.") == ["D"]


def test_names_are_sorted_as_people_look_for_them() -> None:
    wanted = [
        "Zoë Álvarez",
        "Anna van den Berg",
        "Bert van den Berg",
        "Anna Berg-Smit",
        "Élodie Bergmann",
        "Zoë Ekman",
        "Anna Lot",
        "Łukasz Łoź",
        "Jan 't Mannetje",
        "Dr. Sean O’Neil",
        "Zed O'Neill",
        "Ole Ørsted",
        "Bengt Österberg",
        "Ægir Þórsson",
        "Anna Van Bergen",
        "Anna Van Vliet",
        "李 明",
    ]
    assert [names.sort_key(name) for name in wanted] == sorted(map(names.sort_key, wanted))
    assert len(names.sort_key("ß" * 120)) == 240
    assert len(names.sort_key("ﷺ" * 120)) == names.KEY_LETTERS


def test_one_name_in_other_ways_of_typing_has_one_place() -> None:
    typed = ("Anna O’Neil", "anna o'neil", "Dr. ANNA O'NEIL", "O'Neil, Anna")
    assert {names.sort_key(each) for each in typed} == {"oneil  anna"}


def test_a_sentence_that_ends_with_a_name_has_one_full_stop() -> None:
    assert [f"For {names.before_stop(name)}." for name in ("Sam Davis Jr.", "Anna Jansen")] == [
        "For Sam Davis Jr.",
        "For Anna Jansen.",
    ]
