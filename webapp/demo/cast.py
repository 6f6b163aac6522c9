"""The demo clinic's doctors: twelve with a story, and as many others as needed."""

from __future__ import annotations

import random
import unicodedata
from typing import NamedTuple

from webapp.core.text import PLAIN_LETTERS
from webapp.demo.catalogue import SPECIALTIES, Specialty

TINTS = 6


class DemoDoctor(NamedTuple):
    """A doctor before they are in the database. `specialty` also determines what they offer."""

    name: str
    slug: str
    specialty: Specialty
    languages: list[str]
    bio: str
    room: str
    tint: int


class _Member(NamedTuple):
    name: str
    languages: tuple[str, ...]
    room: str
    bio: str


# In the order of SPECIALTIES, so that the first six already cover every specialty.
_CAST = (
    _Member(
        "Dr. Amara Okafor",
        ("Dutch", "English", "Igbo"),
        "Room 3, ground floor",
        "Amara is a family doctor who looks after long-term conditions and anything you are not sure where to "
        "take. She takes her time to explain, and draws on paper when words are not enough.",
    ),
    _Member(
        "Dr. Lotte Visser",
        ("Dutch", "English", "German"),
        "Room 11, first floor",
        "Lotte sees people with moles, eczema and skin that itches. She shows you what she sees on a screen, "
        "so that you can follow it at home.",
    ),
    _Member(
        "Dr. Mei-Ling Tan",
        ("Dutch", "English", "Mandarin"),
        "Room 6, ground floor",
        "Mei-Ling cares for children from birth to sixteen. She talks to the child first and to the parents after.",
    ),
    _Member(
        "Dr. Henrik Lindqvist",
        ("English", "Dutch", "Swedish"),
        "Room 14, first floor",
        "Henrik helps people with high blood pressure and an uneven heartbeat. He likes plans that fit into "
        "an ordinary week.",
    ),
    _Member(
        "Dr. Inès Moreau",
        ("French", "Dutch", "English"),
        "Room 8, ground floor",
        "Inès looks after women of every age, from first questions about contraception to the menopause. "
        "She worked as a midwife before she became a doctor.",
    ),
    _Member(
        "Femke de Boer",
        ("Dutch", "English", "Frisian"),
        "Practice room 1, ground floor",
        "Femke treats backs, necks and shoulders. She gives you few exercises, the ones that you will really do.",
    ),
    _Member(
        "Dr. Joost van den Berg",
        ("Dutch", "English", "German"),
        "Room 4, ground floor",
        "Joost is a family doctor with a soft spot for sport and for people who work at night. He keeps his "
        "appointments short and calls back when results are in.",
    ),
    _Member(
        "Dr. Rafael Sousa",
        ("Portuguese", "Dutch", "English", "Spanish"),
        "Room 12, first floor",
        "Rafael treats acne, hair loss and skin after too much sun. He removes small spots himself, on most days.",
    ),
    _Member(
        "Dr. Emre Yıldız",
        ("Dutch", "Turkish", "English"),
        "Room 7, ground floor",
        "Emre sees children with asthma, allergies and long coughs. He has a drawer full of stickers.",
    ),
    _Member(
        "Dr. Priya Raman",
        ("English", "Dutch", "Hindi", "Tamil"),
        "Room 15, first floor",
        "Priya looks after hearts before and after a treatment in hospital. She explains every tablet and takes "
        "away those that you no longer need.",
    ),
    _Member(
        "Dr. Yasmin El Amrani",
        ("Dutch", "Arabic", "French", "English"),
        "Room 5, ground floor",
        "Yasmin is a family doctor for young and old, often for three generations of one family. She also helps "
        "with sleep, stress and work.",
    ),
    _Member(
        "Tomasz Nowak",
        ("Dutch", "Polish", "English"),
        "Practice room 2, ground floor",
        "Tomasz works with people after an operation on the knee or the hip. He walks the first stairs with you.",
    ),
)

_FIRST_NAMES = (
    "Aisha", "Anouk", "Bart", "Beatriz", "Bilal", "Bram", "Chidi", "Clara", "Daan", "Dilara", "Eszter", "Eva", "Fenna",
    "Giulia", "Hamza", "Hugo", "Ingrid", "Isabel", "Jasper", "Jelena", "Kaito", "Karin", "Koen", "Leila", "Lars",
    "Linh", "Maarten", "Maja", "Mateo", "Nadia", "Niels", "Noor", "Olga", "Omar", "Pieter", "Renée", "Ruben", "Sanne",
    "Sofía", "Stijn", "Thandi", "Thijs", "Vera", "Willem", "Zeynep", "Zoë",
)  # fmt: skip
_LAST_NAMES = (
    "Aalbers", "Achterberg", "Andersen", "Bakker", "Benali", "Boateng", "Brouwer", "Castillo", "Çelik", "Conti",
    "Dekker", "van Dijk", "Eriksen", "Fernandes", "García", "de Graaf", "Haddad", "Hendriks", "Hoang", "Ibrahim",
    "Jansen", "de Jong", "Kaya", "Koster", "Kovács", "Kuipers", "van Leeuwen", "Martens", "Mensah", "Mulder",
    "Nguyen", "Novák", "Okeke", "Peeters", "Pereira", "Petrović", "Postma", "Rossi", "Sato", "Schouten", "Silva",
    "Smit", "van der Veen", "Verhoeven", "Vos", "de Wit", "Wójcik", "Zhang",
)  # fmt: skip
_THIRD_LANGUAGES = (
    "Arabic", "Chinese", "French", "German", "Hindi", "Italian", "Polish", "Portuguese", "Spanish", "Turkish",
)  # fmt: skip
_FOCUS = {
    "General practice": "is a family doctor for young and old",
    "Dermatology": "looks after skin, hair and nails",
    "Children’s medicine": "cares for children from birth to sixteen",
    "Cardiology": "helps people with heart and blood pressure",
    "Women’s health": "looks after women of every age",
    "Physiotherapy": "helps people to move without pain",
}
_MANNERS = (
    "You leave with a plan that is written down.",
    "Questions are welcome, also the small ones.",
    "Test results are explained on the phone, line by line.",
    "There is always time to ask what a word means.",
    "Treatment starts with the simplest thing that can work.",
)


def make_doctors(count: int, rng: random.Random) -> list[DemoDoctor]:
    """This many doctors, beginning with the twelve of the cast; every slug is unique."""
    members = [*_CAST[:count], *_more_members(count - len(_CAST), rng)]
    doctors = []
    for index, member in enumerate(members):
        doctors.append(
            DemoDoctor(
                name=member.name,
                slug=slug_of(member.name),
                specialty=SPECIALTIES[index % len(SPECIALTIES)],
                languages=list(member.languages),
                bio=member.bio,
                room=member.room,
                tint=index % TINTS + 1,
            )
        )
    return doctors


def slug_of(name: str) -> str:
    """The slug for a name: 'emre-yildiz' for 'Dr. Emre Yıldız'."""
    decomposed = unicodedata.normalize("NFKD", name.removeprefix("Dr. ").lower().translate(PLAIN_LETTERS))
    return "-".join(decomposed.encode("ascii", "ignore").decode().split())


def _more_members(count: int, rng: random.Random) -> list[_Member]:
    """Doctors beyond the cast, each with a unique name."""
    if count <= 0:
        return []
    pairs = [f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES]
    members = []
    for index, name in enumerate(rng.sample(pairs, count), start=len(_CAST)):
        specialty = SPECIALTIES[index % len(SPECIALTIES)].name
        title = "" if specialty == "Physiotherapy" else "Dr. "
        languages = ("Dutch", "English", rng.choice(_THIRD_LANGUAGES))
        bio = f"{name.split()[0]} {_FOCUS[specialty]}. {rng.choice(_MANNERS)}"
        members.append(_Member(title + name, languages, f"Room {index + 8}, second floor", bio))
    return members
