"""Deletes stored answers of the API that name an erased person."""

from __future__ import annotations

import json
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.events.kinds import PatientErased
from webapp.idempotency.models import IdempotencyKey


def forget_answers(session: Session, event: PatientErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Delete all answers that contain these words, such as answers to staff. Answers to the person end with the
    account.

    A program that repeats such a request has it carried out again, or refused.
    """
    spellings = {spelling for word in event.words for spelling in (word, json.dumps(word)[1:-1])}
    found = [IdempotencyKey.body.contains(spelling, autoescape=True) for spelling in spellings]
    if found:
        session.execute(sa.delete(IdempotencyKey).where(sa.or_(*found)))
