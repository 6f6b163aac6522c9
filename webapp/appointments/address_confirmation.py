"""Confirms an e-mail address when its owner follows the link that was sent to it.

The address is confirmed, or replaces the account's old one. Where the same person is signed in to the account, it also
joins the record that the clinic made for them before; see `joining`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments import joining
from webapp.auth.addresses import confirmation
from webapp.auth.addresses import service as addresses
from webapp.auth.addresses.confirmation import Address
from webapp.auth.exceptions import AddressNotConfirmable
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic


class ConfirmedAddress(NamedTuple):
    """The result of following the link. `waits`: a record waits for the account, whose owner has to sign in to join
    it.
    """

    email: str
    replaced: bool
    joined: bool
    waits: bool


def confirm_address(
    session: Session, said: Any, *, actor: Actor | None, address: str, now: datetime
) -> ConfirmedAddress:
    """Confirm the address of a link. Repeating it does no harm. `said` is the content of the link's token.

    Raises:
        AddressNotConfirmable: see `confirmation.find_address`. AddressTaken: another account has the address by now.
    """
    found = confirmation.find_address(session, said, now=now)
    if found.wanted:
        _replace(session, found, address=address, now=now)
    else:
        confirmation.confirm(session, found, address=address, now=now)
    own = actor is not None and actor.user_id == found.user_id
    joined = own and actor is not None and joining.join_waiting_record(session, actor, now=now)
    if not joined:
        joining.note_records_with_address(session, found.user_id, now=now)
    waits = not own and joining.find_waiting_record(session, found.user_id) is not None
    return ConfirmedAddress(found.email, found.wanted, joined, waits)


def _replace(session: Session, found: Address, *, address: str, now: datetime) -> None:
    account = addresses.lock_address(session, found.user_id)
    if account.email == found.email:
        # The same link was followed at the same moment, and the other request was first.
        return
    if account.new_email != found.email:
        raise AddressNotConfirmable
    addresses.replace(session, account, get_clinic(session).letterhead, address=address, now=now)
