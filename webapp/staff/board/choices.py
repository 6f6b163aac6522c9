"""Remembering which columns of the board a member of staff wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.database import rows, table_of
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.staff.board.models import BoardChoice

MOST = 60


class ColumnChoice(NamedTuple):
    """The columns of one account: of a specialty, or of some doctors, by slug; of all doctors if both are empty."""

    specialty: str = ""
    slugs: tuple[str, ...] = ()

    def shown(self, everyone: Sequence[DoctorRow]) -> list[DoctorRow] | None:
        """The chosen doctors; None for all, also if none of the chosen ones exists any more."""
        chosen = [
            each
            for each in everyone
            if each.slug in self.slugs or (self.specialty and each.specialty == self.specialty)
        ]
        return chosen or None


ALL = ColumnChoice()
_OWN = sa.select(table_of(BoardChoice).c.specialty, table_of(BoardChoice).c.doctors).where(
    table_of(BoardChoice).c.user_id == sa.bindparam("user_id", type_=sa.Integer)
)


def get_choice(session: Session, actor: Actor) -> ColumnChoice:
    """The columns that this account chose."""
    found = rows(session, _OWN, user_id=actor.user_id).one_or_none()
    return ALL if found is None else ColumnChoice(found[0], tuple(found[1].split()))


def choose(session: Session, actor: Actor, *, specialty: str = "", slugs: Sequence[str] = ()) -> None:
    """Remember the columns: of a specialty, else of these doctors, else of all. Unknown names are left out."""
    everyone = doctors.list_doctors(session)
    chosen = ColumnChoice(specialty) if specialty and any(each.specialty == specialty for each in everyone) else ALL
    if chosen is ALL:
        known = [each.slug for each in everyone if each.slug in set(slugs)][:MOST]
        chosen = ColumnChoice(slugs=tuple(known)) if len(known) < len(everyone) else ALL
    # One after the other: two windows of an account may save at the same moment.
    session.execute(sa.select(User.id).where(User.id == actor.user_id).with_for_update(key_share=True))
    session.execute(sa.delete(BoardChoice).where(BoardChoice.user_id == actor.user_id))
    if chosen != ALL:
        values = {"specialty": chosen.specialty, "doctors": " ".join(chosen.slugs)}
        session.execute(sa.insert(BoardChoice).values(user_id=actor.user_id, **values))
