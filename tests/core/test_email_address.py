"""Addresses that may not be what they look like."""

from __future__ import annotations

import pytest

from webapp.core.email_address import doubt_about

REAL = ["gmail.com", "ymail.com", "mail.com", "praxis-müller.example", "例え.jp", "docket.example"]
MISTYPED = [
    ("gmial.com", "gmail.com"),
    ("gmail.con", "gmail.com"),
    ("hotmial.com", "hotmail.com"),
    ("outlok.com", "outlook.com"),
]


@pytest.mark.parametrize("domain", REAL)
def test_ordinary_addresses_raise_no_doubt(domain: str) -> None:
    assert doubt_about(f"nina@{domain}") is None


@pytest.mark.parametrize(("typed", "meant"), MISTYPED)
def test_a_typing_mistake_in_a_common_domain_is_noticed(typed: str, meant: str) -> None:
    doubt = doubt_about(f"nina@{typed}")
    assert doubt is not None
    assert doubt.meant == f"nina@{meant}"


def test_letters_of_several_alphabets_are_noticed() -> None:
    doubt = doubt_about("nina@p\u0430ypal.example")
    assert doubt is not None
    assert doubt.meant == ""
