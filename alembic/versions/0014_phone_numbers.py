"""Telephone numbers are kept in E.164; the clinic has a country, whose numbers are dialled without its code.

What can be read is rewritten: the numbers of patients, the words to find them by, the clinic's own number, and the
recipients of text messages, so that a message that was sent is not sent again to the same number in another form. What
cannot be read stays as it was typed: the overview lists it.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import Any

import phonenumbers
import sqlalchemy as sa
from alembic import op
from babel.core import get_global

revision = "0014"
down_revision = "0013"

_CLINIC = sa.table("clinic_settings", sa.column("phone"), sa.column("time_zone"))
_PATIENTS = sa.table("patients", sa.column("id"), sa.column("phone"))
_WORDS = sa.table("patient_words", sa.column("word"), sa.column("patient_id"))
_MESSAGES = sa.table(
    "outbox_messages", sa.column("id"), sa.column("channel"), sa.column("recipient"), sa.column("dedupe_key")
)
# So many messages are in memory at once, and so many keys are asked for in one statement.
AT_ONCE, KEYS_AT_ONCE = 10_000, 500
EXTENSION = re.compile(r"[^\d\s()/.+-]")


def upgrade() -> None:
    op.add_column("clinic_settings", sa.Column("country", sa.String(2), nullable=False, server_default=sa.text("''")))
    connection = op.get_bind()
    zone = connection.scalar(sa.select(_CLINIC.c.time_zone))
    country = _country_of(zone) if zone else ""
    _rewrite_clinic(connection, country)
    _rewrite_patients(connection, country)
    _rewrite_messages(connection, country)
    if connection.dialect.name == "postgresql":
        # The next migrations may alter the clinic's table, which triggers that wait for the end would forbid.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def downgrade() -> None:
    """Numbers stay in E.164, which the earlier versions read as well."""
    op.drop_column("clinic_settings", "country")


def _rewrite_clinic(connection: Any, country: str) -> None:
    phone = connection.scalar(sa.select(_CLINIC.c.phone)) or ""
    if (number := _read(phone, country)) and number != phone:
        connection.execute(sa.update(_CLINIC).values(phone=number))


def _rewrite_patients(connection: Any, country: str) -> None:
    found = connection.execute(sa.select(_PATIENTS.c.id, _PATIENTS.c.phone).where(_PATIENTS.c.phone != "")).all()
    changed = [
        (patient_id, typed, number)
        for patient_id, typed in found
        if (number := _read(typed, country)) and number != typed
    ]
    if not changed:
        return
    numbers = [{"of": patient_id, "number": number} for patient_id, _typed, number in changed]
    old = [{"of": patient_id, "old": _word(typed)} for patient_id, typed, _number in changed]
    new = [{"word": _word(number), "patient_id": patient_id} for patient_id, _typed, number in changed]
    mine = _PATIENTS.c.id == sa.bindparam("of")
    connection.execute(sa.update(_PATIENTS).where(mine).values(phone=sa.bindparam("number")), numbers)
    was = sa.and_(_WORDS.c.patient_id == sa.bindparam("of"), _WORDS.c.word == sa.bindparam("old"))
    connection.execute(sa.delete(_WORDS).where(was), old)
    connection.execute(sa.insert(_WORDS), new)


def _rewrite_messages(connection: Any, country: str) -> None:
    last = 0
    query = sa.select(_MESSAGES.c.id, _MESSAGES.c.recipient, _MESSAGES.c.dedupe_key)
    query = query.where(_MESSAGES.c.channel == "sms").order_by(_MESSAGES.c.id).limit(AT_ONCE)
    mine = _MESSAGES.c.id == sa.bindparam("of")
    own = sa.update(_MESSAGES).where(mine).values(recipient=sa.bindparam("number"), dedupe_key=sa.bindparam("key"))
    while found := connection.execute(query.where(_MESSAGES.c.id > last)).all():
        last = found[-1].id
        changed = [
            {"of": message_id, "number": number, "was": key, "key": key.replace(_short(recipient), _short(number))}
            for message_id, recipient, key in found
            if (number := _read(recipient, country)) and number != recipient
        ]
        taken = _taken(connection, [each["key"] for each in changed if each["key"] != each["was"]])
        for each in changed:
            was = each.pop("was")
            if each["key"] != was and each["key"] in taken:
                # Another message has this key: it was sent to the same number, written in another way.
                each["key"] = was
            taken.add(each["key"])
        if changed:
            connection.execute(own, changed)


def _taken(connection: Any, keys: list[str]) -> set[str]:
    """Those of the keys that a message has already."""
    found: set[str] = set()
    for first in range(0, len(keys), KEYS_AT_ONCE):
        some = _MESSAGES.c.dedupe_key.in_(keys[first : first + KEYS_AT_ONCE])
        found.update(connection.scalars(sa.select(_MESSAGES.c.dedupe_key).where(some)))
    return found


@cache
def _read(typed: str, country: str) -> str:
    """The number in E.164; '' where the text is not a whole number."""
    # The library digs numbers out of sentences.
    if EXTENSION.search(typed):
        return ""
    dialled = f"+{typed[2:]}" if typed.startswith("00") else typed
    try:
        number = phonenumbers.parse(dialled, country or None)
    except phonenumbers.NumberParseException:
        return ""
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)) if possible else ""


def _country_of(zone: str) -> str:
    return str(get_global("zone_territories").get(get_global("zone_aliases").get(zone, zone)) or "")


def _word(number: str) -> str:
    digits = "".join(letter for letter in number if letter.isascii() and letter.isdigit())
    return f"#{digits[::-1]}"


def _short(address: str) -> str:
    return hashlib.blake2b(address.encode(), digest_size=10).hexdigest()
