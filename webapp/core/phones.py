"""Telephone numbers: read as people write them, stored so that every network can dial them, shown as people know them.

A number is stored in E.164, such as +31201234567. Text that was stored before Docket read numbers, and cannot be read,
stays as it was typed until it is corrected. Numbers of the clinic's own country are shown as they are dialled there.
The library's tables take memory and time, so it is imported where a number is first read or shown.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

from webapp.core.text import bare
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.i18n import language

LONGEST = 40
E164 = re.compile(r"\+[1-9]\d{4,14}", re.ASCII)
_EXTENSION = re.compile(r"(?:ext\.?|extension|toestel|tst\.?|x|#|;ext=)\s*\d+\s*$", re.IGNORECASE)
# The country of the clinic whose page is being written: macros and form fields have no other way to know it.
_home: ContextVar[str] = ContextVar("country of the clinic", default="")


def countries() -> dict[str, str]:
    """The countries that have telephone numbers, sorted by their names in the reader's language."""
    return _countries(language().locale)


def show_for(country: str) -> None:
    """Show numbers from now on as people of this country know them, in this request."""
    _home.set(country)


def read_phone(text: str, country: str, *, saved: str = "") -> str:
    """The number in E.164; '' for an empty field. An unchanged saved text is accepted. A possible number is accepted
    even if the library does not know its range, because new ranges come into use before the library has them.

    Raises:
        Invalid: it is no number, or one that cannot be called from outside, or an emergency number.
    """
    typed = bare(text).removeprefix("tel:")
    if not typed or typed == saved:
        return typed
    if _EXTENSION.search(typed):
        raise Invalid(_("Leave out the extension. Enter only the main number."), code="phone_extension", field="phone")
    if len(typed) > LONGEST or not any(map(str.isdecimal, typed)) or any(map(str.isalpha, typed)):
        raise _unreadable()
    library = _library()
    if (country and library.is_emergency_number(typed, country)) or typed in {"112", "911", "999"}:
        raise Invalid(
            _("%(number)s is an emergency number. Enter the person’s own number.") % {"number": typed},
            code="phone_emergency",
            field="phone",
        )
    number = _parsed(typed, country)
    if number is None and not country and not typed.startswith("+"):
        raise Invalid(_("Start with + and the country code, such as +31."), code="phone_country", field="phone")
    if number is None:
        raise _unreadable()
    reasons = library.ValidationResult
    reason = library.is_possible_number_with_reason(number)
    if reason == reasons.IS_POSSIBLE_LOCAL_ONLY:
        raise Invalid(_("Add the area code to this phone number."), code="phone_area_code", field="phone")
    if reason == reasons.TOO_SHORT:
        raise Invalid(_("This phone number is too short."), code="phone_too_short", field="phone")
    if reason == reasons.TOO_LONG:
        raise Invalid(_("This phone number is too long."), code="phone_too_long", field="phone")
    if reason != reasons.IS_POSSIBLE:
        raise _unreadable()
    return str(library.format_number(number, library.PhoneNumberFormat.E164))


def shown(number: str, country: str | None = None) -> str:
    """The number as people read it; other text as it was typed. Without a country, the page's country is used."""
    return _formatted(number, _home.get() if country is None else country) if E164.fullmatch(number) else number


def dialled(number: str) -> str:
    """The number for an address that calls it: 'tel:+31201234567'."""
    return re.sub(r"(?<=\d)\s*\(0\)|[^0-9+]", "", number)


def can_get_texts(number: str) -> bool:
    """Whether text messages may be sent there: it can be a mobile number, and is not charged for."""
    return number != "" and _kind(number) in {"mobile", "fixed or mobile"}


def doubt_about(number: str) -> str:
    """A doubt about a stored number that staff should check; '' if nothing seems wrong."""
    if not number:
        return ""
    if not E164.fullmatch(number):
        return _("This is not a complete phone number. Please correct it.")
    return "" if _kind(number) else _("This number may be wrong. Please check it.")


def dialled_as(text: str, country: str) -> str:
    """The E.164 form of a number in a search, or '' where it is only a part of one."""
    number = _parsed(bare(text), country)
    library = _library()
    if number is None or not library.is_possible_number(number):
        return ""
    return str(library.format_number(number, library.PhoneNumberFormat.E164))


def beginnings(text: str, country: str) -> tuple[str, ...]:
    """How a number in E.164 begins if its first digits are typed like this, with the country's code or without."""
    typed = dialled(bare(text))
    digits = typed.lstrip("+")
    if typed.startswith(("+", "00")):
        return (f"+{digits.removeprefix('00')}",)
    code = _library().country_code_for_region(country) if country else 0
    # Nearly everywhere a zero comes before the area code, which Italy keeps in E.164.
    return tuple(f"+{code}{each}" for each in dict.fromkeys((digits, digits.removeprefix("0")))) if code else ()


def _unreadable() -> Invalid:
    message = _("Enter a phone number, such as +31 20 123 4567, or leave this empty.")
    return Invalid(message, code="phone", field="phone")


def _parsed(typed: str, country: str) -> Any | None:
    library = _library()
    # Nearly everywhere two zeros stand for the +, and no number begins with them.
    international = f"+{typed[2:]}" if typed.startswith("00") else typed
    try:
        return library.parse(international, country or None)
    except library.NumberParseException:
        return None


@lru_cache(maxsize=4096)
def _formatted(number: str, country: str) -> str:
    library = _library()
    parsed = _parsed(number, "")
    if parsed is None:
        return number
    # Countries share a code: a number of Guernsey is dialled in Britain as any other.
    is_own = bool(country) and parsed.country_code == library.country_code_for_region(country)
    formats = library.PhoneNumberFormat
    return str(library.format_number(parsed, formats.NATIONAL if is_own else formats.INTERNATIONAL))


@lru_cache(maxsize=4096)
def _kind(number: str) -> str:
    """The kind of a number in E.164; '' if the library does not know its range."""
    library = _library()
    parsed = _parsed(number, "") if E164.fullmatch(number) else None
    if parsed is None or not library.is_valid_number(parsed):
        return ""
    kinds = library.PhoneNumberType
    return {kinds.MOBILE: "mobile", kinds.FIXED_LINE_OR_MOBILE: "fixed or mobile"}.get(
        library.number_type(parsed), "other"
    )


def _library() -> Any:
    import phonenumbers

    return phonenumbers


@cache
def _countries(locale: str) -> dict[str, str]:
    from babel import Locale

    territories = Locale.parse(locale).territories
    names = {code: str(territories.get(code, code)) for code in _library().SUPPORTED_REGIONS}
    return dict(sorted(names.items(), key=lambda item: item[1]))
