"""E-mail addresses: one form for each, independent of how it was typed or pasted, and the form that mail servers
accept.

A domain may be written with letters of any language ("praxis-müller.example") or in ASCII ("xn--praxis-mller-…"):
browsers send either. We keep the first, which people can read, and hand the second to mail servers.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from webapp.core.text import bare

# Phones write these where an apostrophe was meant.
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ", "'"))
_PUNYCODE = "xn--"
# Domains that many people have, and others that only look like a typing mistake in one of these.
_COMMON = ("gmail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "googlemail.com", "live.com")
_ALSO_REAL = {"mail.com", "ymail.com", "email.com", "gmx.com", "rocketmail.com", "live.co", "me.com", "aol.com"}
_ALIKE = 0.87


class Doubt(NamedTuple):
    """A possible mistake in a valid address: `meant` is the likely address, '' if letters of several alphabets are
    mixed.
    """

    meant: str


def doubt_about(address: str) -> Doubt | None:
    """The part of an address that its owner should check, because mail to it may reach another person.

    A label of a domain with letters of several alphabets imitates another one: a Cyrillic "а" looks like a Latin "a".
    """
    local, _at, domain = address.rpartition("@")
    if any(len(_alphabets(label)) > 1 for label in domain.split(".")):
        return Doubt("")
    if domain in _ALSO_REAL or domain in _COMMON:
        return None
    # Few addresses come this far.
    from difflib import get_close_matches

    alike = get_close_matches(domain, _COMMON, n=1, cutoff=_ALIKE)
    return Doubt(f"{local}@{alike[0]}") if alike else None


def _alphabets(label: str) -> set[str]:
    """The alphabets of the letters in a part of a domain, such as LATIN and CYRILLIC."""
    letters = [letter for letter in label if letter.isalpha()]
    found = {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}
    # Japanese is written with several, and with Latin letters among them.
    return set() if found & {"HIRAGANA", "KATAKANA", "CJK"} else found


def normal_email(value: str) -> str:
    """An address as it is stored and compared: in lower case, without unseen signs, its domain as people read it."""
    local, at, domain = bare(value).translate(_APOSTROPHES).lower().rpartition("@")
    return f"{local}{at}{_readable(domain)}" if at else domain


def mailable(address: str) -> str:
    """The address with a domain that every mail server understands.

    Raises:
        ValueError: no such domain can exist.
    """
    import idna

    local, _at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    return f"{local}@{idna.encode(domain, uts46=True).decode()}"


def _readable(domain: str) -> str:
    """The domain in Unicode; one that cannot exist stays as it is, and the form or the mail server refuses it."""
    if domain.isascii() and _PUNYCODE not in domain:
        return domain
    # Its tables take memory that few addresses need.
    import idna

    try:
        return idna.decode(idna.encode(domain, uts46=True))
    except (idna.IDNAError, UnicodeError):
        return domain
