"""The demo clinic's patients: names from many places, all ages, and telephone numbers that are not in use."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import NamedTuple

OLDEST_DAYS = 95 * 365
ADULT_DAYS = 16 * 365

WOMEN = (
    "Anna", "Fatima", "Sofie", "Emma", "Julia", "Ingrid", "Zoë", "Chloé", "María", "Aaliyah", "Wilhelmina", "Saskia",
    "Noor", "Mila", "Željka", "Agnieszka", "Małgorzata", "Yuki", "Mei", "Thi Lan", "Ayşe", "Elif", "Leila", "Samira",
    "Priscilla", "Grace", "Abena", "Ifeoma", "Olivia", "Charlotte", "Hanneke", "Marijke", "Truus", "Geertje", "Renée",
    "Françoise", "Giulia", "Beatriz", "Inês", "Søs", "Astrid", "Katarína", "Irina", "Oksana", "Parvati", "Lakshmi",
    "Rosa", "Esmée", "Lieke", "Jacqueline",
)  # fmt: skip
MEN = (
    "Jan", "Pieter", "Mohammed", "Youssef", "Daan", "Sem", "Lucas", "Noah", "José", "André", "Jürgen", "Søren", "Björn",
    "Łukasz", "Piotr", "Ivan", "Oleksandr", "Mehmet", "Emre", "Ali", "Hassan", "Omar", "Kwame", "Kofi", "Chinedu",
    "Obinna", "Wei", "Hiroshi", "Minh", "Arjun", "Ravi", "Diego", "Mateo", "João", "Luís", "Giovanni", "Matteo",
    "Étienne", "François", "Hendrik", "Kees", "Willem", "Gerrit", "Bram", "Thijs", "Jesse", "Finn", "George", "Thomas",
    "Dmitri",
)  # fmt: skip
LAST_NAMES = (
    "de Jong", "Jansen", "de Vries", "van den Berg", "Bakker", "Visser", "Smit", "Meijer", "de Boer", "Mulder", "Bos",
    "Vos", "Peters", "Hendriks", "van Leeuwen", "Dekker", "Brouwer", "de Wit", "Dijkstra", "Postma", "Hoekstra",
    "van ’t Hoff", "El Idrissi", "Bouzid", "Yılmaz", "Demir", "Öztürk", "Kaya", "Nguyễn", "Trần", "Chen", "Wang",
    "Tanaka", "Kim", "Singh", "Sharma", "Rahman", "Hossain", "Adeyemi", "Okonkwo", "Mensah", "Asante", "Tesfaye",
    "García", "Rodríguez", "Muñoz", "Fernández", "da Silva", "Gonçalves", "Pereira", "Rossi", "Esposito", "Müller",
    "Schäfer", "Weiß", "Lefèvre", "Dubois", "Côté", "Nowak", "Kowalczyk", "Wiśniewski", "Novák", "Dvořák", "Horváth",
    "Kovács", "Popescu", "Ionescu", "Petrović", "Jovanović", "Kovalenko", "Ivanov", "Lindqvist", "Åkesson", "Sørensen",
    "Nygård", "O’Connor", "Hartley", "Pickering", "Marlowe", "Winter",
)  # fmt: skip


class Person(NamedTuple):
    """A patient before they are in the database. `woman` decides the name and who sees them; it is not stored."""

    name: str
    email: str
    phone: str
    birth_date: date
    registered_on: date
    woman: bool


def make_people(count: int, rng: random.Random, *, first_day: date) -> list[Person]:
    """This many patients, beginning with the one with the account patient@docket.example.

    All were born and registered well before `first_day`, the first day that has appointments.
    """
    hannah = Person(
        name="Hannah Weiss",
        email="patient@docket.example",
        phone=_phone(rng),
        birth_date=date(1988, 4, 17),
        registered_on=first_day - timedelta(days=180),
        woman=True,
    )
    return [hannah, *(_person(number, rng, first_day) for number in range(1, count))]


def groups_of(people: list[Person], *, today: date) -> dict[str, list[int]]:
    """The groups of patients, as indexes into the list: anyone, adults, children and women.

    The first person is in no group, because her appointments are chosen by hand. A group that would be empty is
    everyone.
    """
    others = range(1, len(people))
    adults = [at for at in others if (today - people[at].birth_date).days >= ADULT_DAYS]
    groups = {
        "anyone": list(others),
        "adults": adults,
        "children": sorted(set(others) - set(adults)),
        "women": [at for at in adults if people[at].woman],
    }
    return {name: members or groups["anyone"] for name, members in groups.items()}


def _person(number: int, rng: random.Random, first_day: date) -> Person:
    woman = rng.random() < 0.52
    born = first_day - timedelta(days=rng.randint(75, OLDEST_DAYS))
    earliest = max(born, first_day - timedelta(days=700))
    return Person(
        name=f"{rng.choice(WOMEN if woman else MEN)} {rng.choice(LAST_NAMES)}",
        email=f"patient{number}@docket.example",
        phone=_phone(rng),
        birth_date=born,
        registered_on=earliest + timedelta(days=rng.randint(0, (first_day - earliest).days - 60)),
        woman=woman,
    )


def _phone(rng: random.Random) -> str:
    """A number of Amsterdam; no real one has a 0 after the area code."""
    return f"+31200{rng.randrange(1000):03d}{rng.randrange(10_000) % 1000:03d}"
