"""Why is this time not offered? Answered by the rules themselves, every one of them that refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from webapp.appointments import service
from webapp.appointments.exceptions import sentence_of
from webapp.appointments.schemas import YEARS
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import Invalid, NotFound


class Answer(NamedTuple):
    """One instant that was meant, in words, and the code and sentence of each rule that refuses it."""

    title: str
    refusals: list[tuple[str, str]]


def explain(session: Session, slug: str, time: str, visit_type: str | None, *, now: datetime) -> list[Answer]:
    """The answers for a time as a person writes it: two where the clocks go back and the hour comes twice.

    Raises:
        Invalid: the time cannot be read, or the clocks skip it. NotFound: no such doctor or visit type.
    """
    clinic = get_clinic(session)
    doctor = doctors.get_doctor(session, slug)
    wish = service.find_wish(session, doctor, _visit_type_id(doctor, visit_type))
    answers = []
    for instant in instants(time, clinic.zone):
        local = instant.astimezone(clinic.zone)
        when = f"{formats.day_full(instant, clinic.zone)}, {local:%H:%M %Z}"
        refusals = [
            (refusal.code, sentence_of(refusal))
            for refusal in service.find_refusals(session, clinic, wish, instant, now=now)
        ]
        answers.append(Answer(f"{doctor.name}, {wish.visit_type.name}, {when}:", refusals))
    return answers


def instants(time: str, zone: ZoneInfo) -> list[datetime]:
    """What a written time means: one instant, or two where the wall clock shows it twice.

    Raises:
        Invalid: it cannot be read, or the wall clock never shows it.
    """
    try:
        written = datetime.fromisoformat(time).replace(second=0, microsecond=0)
    except ValueError:
        raise Invalid(f"“{time}” is no time. Write it like 2026-12-01T09:30.") from None
    if written.year not in YEARS:
        raise Invalid(f"{time} lies too far away: a visit lies between the years {YEARS[0]} and {YEARS[-1]}.")
    if written.tzinfo is not None:
        return [written.astimezone(UTC)]
    meant = {written.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    real = sorted(instant for instant in meant if instant.astimezone(zone).replace(tzinfo=None) == written)
    if not real:
        raise Invalid(f"{time} does not exist in {zone.key}: the clocks skip it.")
    return real


def _visit_type_id(doctor: DoctorRow, wanted: str | None) -> int | None:
    if wanted is None:
        return None
    for kind in doctor.visit_types:
        if wanted.casefold() == kind.name.casefold():
            return kind.id
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 9):
        raise NotFound(f"{doctor.name} offers no visit type named “{wanted}”.")
    return int(wanted)
