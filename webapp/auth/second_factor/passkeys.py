"""Passkeys (WebAuthn): a second factor for staff, and a whole sign-in for everyone who has one.

The browser asks for a challenge, the device signs it after it has recognised its owner, and we verify the signature
with the public key that we store. A challenge is stored by its hash, works once, for one purpose, and for five minutes.

The library for all this is large and takes a third of a second to load, so it is imported where it is used.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import security_events
from webapp.auth.exceptions import TooManyPasskeys, TooManyProofs, WrongPasskey
from webapp.auth.models import Passkey, PasskeyChallenge, User
from webapp.auth.schemas import Actor
from webapp.auth.second_factor import service as second_factor
from webapp.auth.tokens import hashed
from webapp.core.networks import network_of
from webapp.core.sealing import derived_key
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

if TYPE_CHECKING:
    from webauthn.registration.verify_registration_response import VerifiedRegistration

Purpose = Literal["register", "sign-in", "prove"]
LIFETIME = timedelta(minutes=5)
# Anyone may ask for a challenge, so these rows must not fill the database.
MOST_CHALLENGES = 60
MOST_PASSKEYS = 20
LONGEST_ANSWER = 20_000


class Site(NamedTuple):
    """The site of a passkey: our host (the "relying party") and the whole origin of our pages."""

    host: str
    origin: str

    @classmethod
    def of(cls, base_url: str) -> Site:
        """The site of our own address."""
        return cls(urlsplit(base_url).hostname or "", base_url)


class PasskeyRow(NamedTuple):
    """A passkey, as its owner sees it."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


class StoredKey(NamedTuple):
    """A passkey, as verifying an answer needs it."""

    id: int
    user_id: int
    public_key: bytes
    sign_count: int


def list_passkeys(session: Session, user_id: int) -> list[PasskeyRow]:
    """The passkeys of an account, the newest first."""
    columns = (Passkey.id, Passkey.name, Passkey.created_at, Passkey.last_used_at)
    query = sa.select(*columns).where(Passkey.user_id == user_id).order_by(Passkey.id.desc())
    return [PasskeyRow(*row) for row in session.execute(query)]


def new_challenge(session: Session, purpose: Purpose, user_id: int | None, *, address: str, now: datetime) -> bytes:
    """Store a new challenge and return it; delete those that are too old.

    Raises:
        TooManyProofs: this network has asked for too many within five minutes.
    """
    session.execute(sa.delete(PasskeyChallenge).where(PasskeyChallenge.created_at <= now - LIFETIME))
    network = network_of(address)
    asked = sa.select(sa.func.count(PasskeyChallenge.id)).where(PasskeyChallenge.network == network)
    if (session.scalar(asked) or 0) >= MOST_CHALLENGES:
        raise TooManyProofs(retry_after=int(LIFETIME.total_seconds()))
    challenge = secrets.token_bytes(32)
    row = PasskeyChallenge(challenge_hash=hashed(challenge.hex()), purpose=purpose, user_id=user_id, network=network)
    row.created_at = now
    session.add(row)
    session.flush()
    return challenge


def creation_options(
    actor: Actor, known: Sequence[str], challenge: bytes, site: Site, clinic: str, keys: Sequence[str]
) -> str:
    """The options with which a browser makes a passkey, as JSON; `known` are the ids of those that the account has."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=site.host,
        rp_name=clinic,
        user_name=actor.email,
        user_display_name=actor.name,
        # It must not name the person, and must be the same for all passkeys of the account.
        user_id=derived_key(keys[-1], f"passkey-owner.{actor.user_id}"),
        challenge=challenge,
        exclude_credentials=_descriptors(known),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return options_to_json(options)


def request_options(known: Sequence[str], challenge: bytes, site: Site) -> str:
    """The options with which a browser signs with a passkey, as JSON: one of `known`, or any passkey if that is
    empty.
    """
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        allow_credentials=_descriptors(known),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def known_ids(session: Session, user_id: int) -> list[str]:
    """The ids of an account's passkeys, as browsers know them."""
    return list(session.scalars(sa.select(Passkey.credential_id).where(Passkey.user_id == user_id)))


def read_answer(text: str) -> tuple[dict[str, Any], bytes]:
    """The answer of a browser, and the challenge that it says to have signed.

    Raises:
        WrongPasskey: it is not a valid passkey of this account.
    """
    from webauthn import base64url_to_bytes

    if len(text) > LONGEST_ANSWER:
        raise WrongPasskey
    try:
        answer = json.loads(text)
        said = json.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
        challenge = base64url_to_bytes(said["challenge"])
        if not isinstance(answer["id"], str):
            raise WrongPasskey
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WrongPasskey from error
    return answer, challenge


def spend_challenge(
    session: Session, challenge: bytes, purpose: Purpose, user_id: int | None, *, now: datetime
) -> bool:
    """Use a challenge up. False: it is not ours, was used, is too old, or was for another purpose or account."""
    fits = PasskeyChallenge.user_id.is_(None) if user_id is None else PasskeyChallenge.user_id == user_id
    mine = sa.delete(PasskeyChallenge).where(
        PasskeyChallenge.challenge_hash == hashed(challenge.hex()),
        PasskeyChallenge.purpose == purpose,
        PasskeyChallenge.created_at > now - LIFETIME,
        fits,
    )
    return session.scalar(mine.returning(PasskeyChallenge.id)) is not None


def register(
    session: Session,
    actor: Actor,
    answer: dict[str, Any],
    challenge: bytes,
    name: str,
    letterhead: dict[str, str],
    *,
    site: Site,
    keys: Sequence[str],
    now: datetime,
) -> list[str]:
    """Store a new passkey, whose challenge is used up; return recovery codes if it is the first factor of staff.

    Raises:
        WrongPasskey: the answer does not fit. TooManyPasskeys.
    """
    from webauthn.helpers import bytes_to_base64url

    made = _verified(answer, challenge, site)
    second_factor.lock(session, actor.user_id)
    known = known_ids(session, actor.user_id)
    credential_id = bytes_to_base64url(made.credential_id)
    taken = sa.select(Passkey.id).where(Passkey.credential_id == credential_id)
    if session.scalar(taken) is not None:
        raise WrongPasskey
    if len(known) >= MOST_PASSKEYS:
        raise TooManyPasskeys
    session.add(
        Passkey(
            user_id=actor.user_id,
            credential_id=credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=name,
            created_at=now,
        )
    )
    session.flush()
    return second_factor.note_added(session, actor, "passkey_added", letterhead, keys=keys, now=now, name=name)


def _verified(answer: dict[str, Any], challenge: bytes, site: Site) -> VerifiedRegistration:
    """The verified data of a new passkey.

    Raises:
        WrongPasskey: it does not fit what was asked.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        return verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise WrongPasskey from error


def remove(session: Session, actor: Actor, passkey_id: int, letterhead: dict[str, str], *, now: datetime) -> None:
    """Remove one of the actor's passkeys.

    Raises:
        NotFound: it is not the actor's, or is gone. FactorRequired: it is the only factor, and the clinic requires one.
    """
    second_factor.lock(session, actor.user_id)
    mine = sa.delete(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == actor.user_id)
    name = session.scalar(mine.returning(Passkey.name))
    if name is None:
        raise NotFound(_("That passkey is already removed."))
    second_factor.note_removed(session, actor, "passkey_removed", letterhead, now=now, name=name)


def find_key(session: Session, answer: dict[str, Any], user_id: int | None) -> StoredKey | None:
    """The passkey that a browser says to have used, of this account or, with None, of any; its account is active."""
    query = sa.select(Passkey.id, Passkey.user_id, Passkey.public_key, Passkey.sign_count).where(
        Passkey.credential_id == answer["id"][:1400], User.id == Passkey.user_id, User.active.is_(True)
    )
    row = session.execute(query if user_id is None else query.where(Passkey.user_id == user_id)).one_or_none()
    return StoredKey(*row) if row else None


def verify(key: StoredKey | None, answer: dict[str, Any], challenge: bytes, site: Site) -> int | None:
    """The new number of signatures, if the passkey signed this challenge on our pages; it needs no database."""
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    if key is None:
        return None
    try:
        return verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        ).new_sign_count
    except (WebAuthnException, ValueError, TypeError, KeyError):
        return None


def note_use(session: Session, key: StoredKey | None, sign_count: int | None, *, address: str, now: datetime) -> bool:
    """Store that a passkey was used. False, and a security event, if it was not: the caller commits it either way."""
    if key is not None and sign_count is not None:
        # A copy of the passkey may have signed at the same moment.
        mine = sa.update(Passkey).where(Passkey.id == key.id, Passkey.sign_count == key.sign_count)
        used = session.scalar(mine.values(sign_count=sign_count, last_used_at=now).returning(Passkey.id))
        if used is not None:
            return True
    user_id = key.user_id if key else 0
    security_events.sign_in_failed(session, user_id, how="passkey", address=address, now=now)
    return False


def _descriptors(known: Sequence[str]) -> list[Any]:
    from webauthn import base64url_to_bytes
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(each)) for each in known]
