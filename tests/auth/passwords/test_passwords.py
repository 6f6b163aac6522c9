"""Which passwords are accepted, and how they are stored."""

from __future__ import annotations

import unicodedata
from threading import BoundedSemaphore
from time import perf_counter

import pytest
from argon2 import PasswordHasher

from tests.password_checks import noted_verifications
from webapp.auth.passwords import service as passwords
from webapp.exceptions import Invalid

ABOUT = ["Alice Adams", "alice@docket.example"]
GOOD = "correct horse battery staple"


def code_of(password: str, about: list[str] | None = None) -> str:
    """The code of the refusal of this password."""
    with pytest.raises(Invalid) as caught:
        passwords.require_good_password(password, about=about or ABOUT, field="password")
    assert caught.value.field == "password"
    return caught.value.code


@pytest.mark.parametrize(
    "password", [GOOD, "ovaqufmtzble", "wachtwoord-van-oma-1958", "p" + "äö€😀" * 8, "correct horse " * 9]
)
def test_long_and_unusual_passwords_are_accepted(password: str) -> None:
    passwords.require_good_password(password, about=ABOUT, field="password")


def test_twelve_characters_are_enough_and_eleven_are_not() -> None:
    passwords.require_good_password("kx7vqm2wzt9b", about=ABOUT, field="password")
    assert code_of("kx7vqm2wzt9") == "password_too_short"
    assert code_of("") == "password_too_short"


def test_there_is_a_longest_password() -> None:
    long = (GOOD * 10)[:128]
    passwords.require_good_password(long, about=ABOUT, field="password")
    assert code_of(long + "x") == "password_too_long"


def test_a_long_password_is_right_from_a_keyboard_that_sends_letters_in_parts() -> None:
    long = (
        "내 고양이는 아침마다 창가에서 노래를 부르고"
        " 저녁이면 도서관 지붕 위를 걸어 다니며 별을 세는데 아무도 모른다"
        " 그래서 나는 밤마다 창문을 열어 둔다"
    )
    in_parts = unicodedata.normalize("NFD", long)
    assert len(long) < passwords.MAXIMUM_LENGTH < len(in_parts)
    passwords.require_good_password(in_parts, about=ABOUT, field="password")
    stored = passwords.hash_password(in_parts)
    assert passwords.verify(in_parts, stored)[0]
    assert passwords.verify(long, stored)[0]
    assert not passwords.verify(long + "x" * 128, stored)[0]


def test_a_heap_of_signs_for_a_password_holds_nothing_up() -> None:
    heap = "a" + "\u0300" * 50_000 + "\u0316" * 50_000
    before = perf_counter()
    assert code_of(heap) == "password_too_long"
    assert not passwords.verify(heap, passwords.unusable_hash())[0]
    assert perf_counter() - before < 10, "It took minutes."


CLINIC = ["Oosterkade Clinic", "Oosterkade 18, 1019 ZX Amsterdam"]


@pytest.mark.parametrize(("password", "reason"), [
    ("docket-demo-2026", "words that people often use"),
    ("oosterkade2026", "the clinic’s name or address"),
    ("Amsterdam-1019", "the clinic’s name or address"),
    ("Winter2026!!", "a season, month, day or year"),
    ("W1nter-2026!", "a season, month, day or year"),
    ("März2026März", "a season, month, day or year"),
    ("P@ssw0rd1234", "words that people often use"),
    ("1qaz2wsx3edc", "a pattern on the keyboard"),
    ("poiuytrewq99", "a pattern on the keyboard"),
    ("adams.alice.84", "your name or email address"),
    ("Football2026!!", "lists of stolen passwords"),
    ("sunshine123456", "lists of stolen passwords"),
])  # fmt: skip
def test_a_password_that_guessers_try_first_is_refused_and_the_sentence_says_why(password: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        passwords.require_good_password(password, about=ABOUT, clinic=CLINIC, field="new")
    assert reason in caught.value.message
    assert "Use three or four unrelated words." in caught.value.message
    assert (caught.value.code, caught.value.field) == ("password_too_common", "new")


@pytest.mark.parametrize("password", ["oosterkade tulp fiets 18", "walrus teapot orbit", "winter walrus teapot"])
def test_a_password_with_enough_of_its_own_may_hold_such_words(password: str) -> None:
    passwords.require_good_password(password, about=ABOUT, clinic=CLINIC, field="new")


def test_passwords_are_checked_a_few_at_a_time_and_others_are_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "_places", BoundedSemaphore(1))
    monkeypatch.setattr(passwords, "MOST_SECONDS", 0.01)
    with passwords._one_of_few():
        for slow in (lambda: passwords.verify(GOOD, None), lambda: passwords.hash_password(GOOD)):
            with pytest.raises(passwords.TooManyPasswords) as caught:
                slow()
            assert (caught.value.status, caught.value.status.retry_after) == (503, 2)
    assert passwords.verify(GOOD, None) == (False, None)


@pytest.mark.parametrize("password", ["password1234", "123456789012", "aaaaaaaaaaaa", "qwertyuiopas", "a" * 100])
def test_common_passwords_are_refused(password: str) -> None:
    assert code_of(password) == "password_too_common"


@pytest.mark.parametrize(
    ("password", "about"),
    [
        ("Wolfeschlegelstein", ["Hubert Wolfeschlegelstein", "h@docket.example"]),
        ("wolfeschlegelstein1", ["Hubert Wolfeschlegelstein", "h@docket.example"]),
        ("zzyzx.road@mojave.example", ["Zed", "zzyzx.road@mojave.example"]),
        ("zzyzx.roadrunner", ["Zed", "zzyzx.roadrunner@mojave.example"]),
    ],
)
def test_passwords_with_the_owners_own_data_are_refused(password: str, about: list[str]) -> None:
    passwords.require_good_password(password, about=ABOUT, field="password")
    assert code_of(password, about) == "password_too_common"


def test_a_password_is_stored_as_argon2id_with_its_own_salt(
    usual_hashes: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "hasher", usual_hashes)
    one, two = passwords.hash_password(GOOD), passwords.hash_password(GOOD)
    assert one != two
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert GOOD not in one


def test_passwords_are_compared_exactly() -> None:
    stored = passwords.hash_password(GOOD)
    assert passwords.verify(GOOD, stored) == (True, None)
    for wrong in (GOOD.title(), GOOD + " ", "", GOOD[:-1]):
        assert passwords.verify(wrong, stored) == (False, None)


def test_a_password_that_is_too_long_is_wrong_and_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, verified = passwords.hash_password(GOOD), noted_verifications(monkeypatch)
    for length in (129, 4097, 100_000):
        assert passwords.verify("x" * length, stored) == (False, None)
        assert passwords.verify("x" * length, None) == (False, None)
    assert [each.password for each in verified] == [""] * 6
    assert stored not in {each.stored for each in verified}


@pytest.mark.parametrize(
    "password", ["4@8({[<369&#!1/|0$5+7%2" * 3, "4a@8b({[<c3e69g1!|i0o$5s+7t%x2z" * 2, "\u00e9\u017c\u00f8" * 42]
)
def test_only_the_beginning_of_a_long_password_is_estimated(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def estimate(beginning: str, **_more: object) -> dict[str, int]:
        read.append(beginning)
        return {"score": 4}

    monkeypatch.setattr("zxcvbn.zxcvbn", estimate)
    passwords.require_good_password(password, about=ABOUT, field="password")
    assert read == [password[:18]]


@pytest.mark.parametrize("password", [
    "Alice Adams Alice", "alice@docket.example", "ALICE.ADAMS-1!!", "adams alice 12", "alice@docket.example!",
])  # fmt: skip
def test_a_password_made_of_the_owners_data_is_refused(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zxcvbn.zxcvbn", lambda *_, **__: {"score": 4})
    assert code_of(password) == "password_too_common"
    passwords.require_good_password(password, about=["Zed", "z@mojave.example"], field="password")


def test_a_hash_with_older_parameters_is_renewed() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(GOOD)
    right, renewed = passwords.verify(GOOD, old)
    assert right
    assert renewed
    assert passwords.verify(GOOD, renewed) == (True, None)
    assert passwords.verify("wrong", old) == (False, None)


def test_a_missing_hash_matches_no_password() -> None:
    assert passwords.verify(GOOD, None) == (False, None)
    assert passwords.verify("", None) == (False, None)


COMPOSED = "zoë en andré fietsen"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize("chosen", [COMPOSED, DECOMPOSED, COMPOSED.replace(" ", "\u00a0")])
def test_a_password_is_the_same_on_every_keyboard(chosen: str) -> None:
    stored = passwords.hash_password(chosen)
    for typed in (COMPOSED, DECOMPOSED, COMPOSED.replace(" ", "\u3000")):
        assert passwords.verify(typed, stored) == (True, None)
    assert passwords.verify(COMPOSED.replace("ë", "e"), stored) == (False, None)


@pytest.mark.parametrize("chosen", [DECOMPOSED, COMPOSED.replace(" ", "\u00a0")])
def test_the_hash_of_a_password_as_it_was_typed_still_matches_and_is_renewed(chosen: str) -> None:
    stored = passwords.hasher.hash(chosen)
    right, renewed = passwords.verify(chosen, stored)
    assert right
    assert renewed
    assert passwords.verify(COMPOSED, renewed) == (True, None)
    assert passwords.verify("zoe en andre fietsen", stored) == (False, None)


def test_an_older_hash_in_decomposed_letters_matches_composed_ones() -> None:
    assert passwords.verify(COMPOSED, passwords.hasher.hash(DECOMPOSED))[0]


def test_an_unknown_account_costs_as_many_verifications(monkeypatch: pytest.MonkeyPatch) -> None:
    of_another_password = passwords.hash_password("another long sentence here")
    verified = noted_verifications(monkeypatch)
    for password in (GOOD, COMPOSED, DECOMPOSED):
        for stored in (None, of_another_password):
            verified.clear()
            assert passwords.verify(password, stored) == (False, None)
            assert len(verified) == {GOOD: 1, COMPOSED: 2, DECOMPOSED: 2}[password]
            assert {each.stored.split("$")[3] for each in verified} == {of_another_password.split("$")[3]}


def test_the_length_counts_what_people_see() -> None:
    assert code_of(unicodedata.normalize("NFD", "ëëëëëëëëëëë")) == "password_too_short"
