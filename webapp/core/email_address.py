"""E-mail addresses: one form for each, whatever way it was typed or pasted, and the form that mail servers take.

A domain may be written with letters of any language ("praxis-müller.example") or in ASCII ("xn--praxis-mller-…"):
browsers send either. We keep the first, which people can read, and hand the second to mail servers.
"""

from __future__ import annotations

from webapp.core.text import bare

# Phones write these where an apostrophe was meant.
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ", "'"))
_PUNYCODE = "xn--"


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
    """The domain in Unicode; one that cannot exist stays as it is, for its form or its mail to be refused."""
    if domain.isascii() and _PUNYCODE not in domain:
        return domain
    # Its tables take memory that few addresses need.
    import idna

    try:
        return idna.decode(idna.encode(domain, uts46=True))
    except (idna.IDNAError, UnicodeError):
        return domain
