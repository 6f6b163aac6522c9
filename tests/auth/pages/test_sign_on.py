"""Signing in with an identity provider: which account it opens for whom, and every way to cheat."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from typing import cast as typed
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.cast import NOW, ORIGIN, Cast, client_for, log_in
from tests.oidc_provider import CLIENT, SECRET, OidcProvider, ec_key, oidc_provider, public, rsa_key
from tests.reading import read
from webapp import identity_providers, models
from webapp.auth import former_users

START, ACCOUNT = "/login/sso/hospital", "/account"
BOB, ALICE, CAROL = ({"email": f"{name}@docket.example"} for name in ("bob", "alice", "carol"))


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as running:
        yield running


def settings(provider: OidcProvider, **more: Any) -> identity_providers.OidcProvider:
    named = {"name": "hospital", "label": "St. Mary’s", "issuer": provider.issuer}
    secret = {"client_id": CLIENT, "client_secret": SECRET}
    return identity_providers.OidcProvider.model_validate({**named, **secret, **more})


def confirmed_people(cast: Cast) -> None:
    cast.change(sa.update(models.User).values(email_confirmed_at=NOW))


def browser(cast: Cast, provider: OidcProvider, **more: Any) -> TestClient:
    return client_for(cast.database, oidc_providers=(settings(provider, **more),), base_url=ORIGIN)


def begin(client: TestClient, wanted: str = "") -> str:
    answer = client.get(START, params={"next": wanted} if wanted else {})
    assert answer.status_code == 303
    address: str = answer.headers["location"]
    return address


def finish(client: TestClient, callback: str) -> tuple[str, str]:
    """Where the provider's answer leads, and what is said there."""
    answer = client.get(callback)
    assert answer.status_code == 303, answer.text
    location: str = answer.headers["location"]
    said = ""
    if "docket_flash" in client.cookies:
        shown = client.get(location)
        said = read(client.get(shown.headers["location"]) if shown.status_code == 303 else shown).text
    return location, said


def come(client: TestClient, provider: OidcProvider, wanted: str = "", **person: Any) -> tuple[str, str]:
    return finish(client, provider.let_in(begin(client, wanted), **person))


def changed(address: str, **values: str | None) -> str:
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query)) | values
    return f"{parts.path}?{urlencode({name: value for name, value in query.items() if value is not None})}"


def later(client: TestClient, time: timedelta) -> None:
    state = typed(FastAPI, client.app).state
    now = state.clock() + time
    state.clock = lambda: now


def rows(cast: Cast, *columns: Any, **where: Any) -> list[Any]:
    with cast.database.reading() as session:
        return [tuple(row) for row in session.execute(sa.select(*columns).filter_by(**where))]


# -------------------------------------------------------------------------------------- what it opens for whom


def test_the_first_sign_in_links_by_a_verified_address_and_the_next_by_the_link(
    cast: Cast, provider: OidcProvider
) -> None:
    confirmed_people(cast)
    with browser(cast, provider) as client:
        page = read(client.get("/login?next=/schedule/week"))
        assert f"{START}?next=%2Fschedule%2Fweek" in page.links
        assert "Sign in with St. Mary’s" in page.text
        assert come(client, provider, "/schedule/week", **BOB)[0] == "/schedule/week"
        account = read(client.get(ACCOUNT))
        assert "bob@docket.example" in account.text
        assert "Unlink" in account.text
        client.cookies.clear()
        # Addresses change hands: only the link counts now, verified or not.
        cast.change(sa.update(models.User).where(models.User.id == cast.bob.user_id).values(email="b@docket.example"))
        assert come(client, provider, **ALICE, email_verified=False)[0] == "/schedule"
        assert "b@docket.example" in read(client.get(ACCOUNT)).text
    assert rows(cast, models.AuditEvent.actor_user_id, action="identity_linked") == [(cast.bob.user_id,)]
    told = sorted(values["what"] for (values,) in rows(cast, models.OutboxMessage.values))
    assert told == ["identity_linked", "new_browser", "new_browser"]
    assert rows(cast, models.SecurityEvent.about, action="signed_in") == [("hospital",)]


def test_a_second_factor_is_asked_for_unless_the_clinic_trusts_the_providers(
    sqlite_cast: Cast, provider: OidcProvider
) -> None:
    cast = sqlite_cast
    confirmed_people(cast)
    cast.change(sa.update(models.SignInRules).values(factor_doctors=True))
    for trusts, amr, leads in ((False, ["mfa"], "/account/factor/new"), (True, ["pwd"], "/account/factor/new")):
        with browser(cast, provider, trusts_second_factor=trusts) as client:
            assert come(client, provider, **BOB, amr=amr)[0].startswith(leads)
            assert client.get("/schedule").status_code == 303
    with browser(cast, provider, trusts_second_factor=True) as client:
        assert come(client, provider, **BOB, amr=["pwd", "mfa"])[0] == "/schedule"
        assert client.get("/schedule").status_code == 200
    cast.change(sa.update(models.User).where(models.User.id == cast.bob.user_id).values(factor_since=NOW))
    with browser(cast, provider) as client:
        assert come(client, provider, **BOB, amr=["mfa"])[0] == "/login/factor"
        assert client.get("/schedule").status_code == 303
    with browser(cast, provider, trusts_second_factor=True) as client:
        assert come(client, provider, **BOB, amr=["mfa"])[0] == "/schedule"


def test_a_person_without_an_account_is_told_why(sqlite_cast: Cast, provider: OidcProvider) -> None:
    cast = sqlite_cast
    unconfirmed = "Your account’s email address isn’t confirmed yet."
    with browser(cast, provider) as client:
        cast.change(sa.update(models.User).values(email_confirmed_at=None))
        # Anyone could have registered with this address, and waits for its owner to come.
        assert unconfirmed in come(client, provider, **BOB)[1]
        confirmed_people(cast)
        unverified = "St. Mary’s hasn’t verified your email address"
        assert unverified in come(client, provider, **BOB, email_verified=False)[1]
        assert unverified in come(client, provider, **BOB, email_verified="true")[1]
        assert unverified in come(client, provider, email=None)[1]
        assert "There’s no account here" in come(client, provider, email="stranger@docket.example")[1]
        assert "Your account can’t be used with St. Mary’s." in come(client, provider, **ALICE)[1]
        assert come(client, provider, **BOB, sub="bob")[0] == "/schedule"
        client.cookies.clear()
        # A new colleague who was given Bob's old address.
        assert "linked to another St. Mary’s account" in come(client, provider, **BOB, sub="new")[1]
        cast.change(sa.update(models.User).where(models.User.id == cast.bob.user_id).values(active=False))
        assert "Your account is disabled." in come(client, provider, **BOB, sub="bob")[1]
        assert client.get("/schedule").status_code == 303
    with browser(cast, provider, links_by_email=False) as client:
        assert unverified in come(client, provider, **CAROL)[1]
    assert rows(cast, models.LinkedIdentity.user_id) == [(cast.bob.user_id,)]
    assert rows(cast, models.User.id, email="stranger@docket.example") == []


def test_an_invited_admin_without_a_password_comes_by_the_provider_and_works(
    sqlite_cast: Cast, provider: OidcProvider
) -> None:
    cast = sqlite_cast
    new = {"name": "Ann Admin", "role": "admin", "password_hash": "", "has_password": False, "created_at": NOW}
    cast.add(models.User(email="ann@docket.example", **new))
    with browser(cast, provider) as client:
        assert come(client, provider, email="Ann@Docket.example")[0] == "/admin"
        answer = client.post(f"/admin/users/{cast.bob.user_id}/access", data={"access": "no"})
        assert answer.status_code == 303, read(answer).text
    assert rows(cast, models.User.active, id=cast.bob.user_id) == [(False,)]
    assert rows(cast, models.User.email_confirmed_at, email="ann@docket.example") == [(NOW,)]


def test_accounts_are_made_for_strangers_only_if_the_clinic_says_so(cast: Cast, provider: OidcProvider) -> None:
    with browser(cast, provider, creates_accounts=True, roles=["patient"]) as client:
        assert come(client, provider, email="new@docket.example", name="Nora New")[0] == "/"
        assert "Nora New" in str(read(client.get(ACCOUNT)).form("/account"))
        assert client.get("/appointments").status_code == 200
        client.cookies.clear()
        asked = sa.update(models.ClinicSettings).values(asks_phone="require")
        cast.change(asked)
        assert "The clinic needs more details" in come(client, provider, email="other@docket.example", sub="2")[1]
        client.cookies.clear()
    with browser(cast, provider, creates_accounts=True) as client:
        assert "can’t be used with" in come(client, provider, email="third@docket.example", sub="3")[1]
    with browser(
        cast, provider, creates_accounts=True, role_claim="groups", role_values={"it": "admin", "doc": "doctor"}
    ) as client:
        assert "no doctor here" in come(client, provider, email="d@docket.example", sub="4", groups=["doc"])[1]
        assert come(client, provider, email="a@docket.example", sub="5", groups=["it"])[0] == "/admin"
    assert rows(cast, models.User.role, email="a@docket.example") == [("admin",)]
    assert rows(cast, models.Patient.email, email="new@docket.example") == [("new@docket.example",)]


def test_the_role_follows_the_claim_at_each_sign_in_but_the_last_admin_stays(
    cast: Cast, provider: OidcProvider
) -> None:
    confirmed_people(cast)
    mapping = {"it": "admin", "ward": "doctor", "staff": "patient"}
    with browser(cast, provider, role_claim="realm_access.roles", role_values=mapping) as client:

        def arrive(person: dict[str, str], *groups: str) -> tuple[str, str]:
            client.cookies.clear()
            return come(client, provider, **person, sub=person["email"], realm_access={"roles": list(groups)})

        assert "isn’t allowed to use this system" in arrive(BOB, "admin", "unknown")[1]
        assert arrive(BOB, "ward")[0] == "/schedule"
        assert "no doctor here" in arrive(CAROL, "ward")[1] or arrive(CAROL, "ward")[0] == "/admin"
        # Carol is the only admin, so that a mistake in the directory cannot lock everyone out.
        assert arrive(CAROL, "staff")[0] == "/admin"
        assert arrive(BOB, "it", "staff")[0] == "/admin"
        assert rows(cast, models.Doctor.user_id, slug="bob") == [(None,)]
        # Now there are two: Carol is a patient from now on, and may not sign in this way.
        assert "can’t be used with" in arrive(CAROL, "staff")[1]
    assert rows(cast, models.User.role, id=cast.carol.user_id) == [("patient",)]
    details = [row[0] for row in rows(cast, models.AuditEvent.details, action="role_changed")]
    assert details == [
        {"from": "doctor", "to": "admin", "by": "St. Mary’s"},
        {"from": "admin", "to": "patient", "by": "St. Mary’s"},
    ]


# ---------------------------------------------------------------------------------------------------- attacks


def test_an_answer_counts_once_and_only_in_the_browser_that_began(cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(cast)
    stale = "That sign-in took too long, or was used already."
    with browser(cast, provider) as client, browser(cast, provider) as other:
        callback = provider.let_in(begin(client), **BOB)
        begin(other)
        assert stale in finish(other, callback)[1]
        other.cookies.clear()
        assert stale in finish(other, callback)[1]
        kept = dict(client.cookies)
        assert finish(client, callback)[0] == "/schedule"
        client.cookies.clear()
        client.cookies.update(kept)
        asked = len(provider.asked)
        assert stale in finish(client, callback)[1]
        assert len(provider.asked) == asked
        client.cookies.clear()
        for wrong in ({"state": "x"}, {"state": None}, {"state": ""}):
            assert stale in finish(client, changed(provider.let_in(begin(client), **BOB), **wrong))[1]
        twice = provider.let_in(begin(client), **BOB)
        assert stale in finish(client, f"{twice}&state=x")[1]
        late = provider.let_in(begin(client), **BOB)
        later(client, timedelta(minutes=11))
        assert stale in finish(client, late)[1]
        assert client.get("/schedule").status_code == 303
    assert rows(cast, models.SecurityEvent.about, action="sign_in_failed") != []


def test_no_forged_token_opens_anything(sqlite_cast: Cast, provider: OidcProvider) -> None:
    cast = sqlite_cast
    confirmed_people(cast)
    at = int(NOW.timestamp())
    lies: list[dict[str, Any]] = [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"aud": None},
        {"azp": "another"},
        {"exp": at - 61},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": at - 3600},
        {"iat": at + 3600},
        {"nbf": at + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
    ]
    with browser(cast, provider) as client:

        def refused(said: str = "We couldn’t check the answer from St. Mary’s.", **lie: Any) -> None:
            client.cookies.clear()
            # Each from another network: the tenth wrong answer of one is not even looked at.
            cast.change(sa.delete(models.FailedLogin))
            assert said in come(client, provider, **{**BOB, **lie})[1], lie
            assert client.get("/schedule").status_code == 303

        for lie in lies:
            refused(**lie)
        honest = provider.key
        for algorithm, key in (("none", None), ("HS256", "k" * 32), ("HS256", SECRET * 2), ("RS256", rsa_key(3072))):
            provider.algorithm, provider.key = algorithm, key
            refused()
        provider.algorithm, provider.key = "RS256", honest
        for token in ("x", "a.b.c", "é", jwt.encode({"sub": "1"}, honest, "RS256")):
            provider.token = token
            refused()
        provider.token = ""
        # A code that another sign-in was given, without its verifier.
        stolen = dict(parse_qsl(urlsplit(provider.let_in(begin(client), **BOB)).query))["code"]
        for wrong in ({"code": stolen}, {"code": "made up"}, {"iss": "https://elsewhere.example"}):
            client.cookies.clear()
            assert "couldn’t check" in finish(client, changed(provider.let_in(begin(client), **BOB), **wrong))[1]
        for said in ({"code": None, "error": "access_denied"}, {"code": None}, {"code": "x" * 5000}):
            callback = changed(provider.let_in(begin(client), **BOB), **said)
            assert "St. Mary’s didn’t sign you in." in finish(client, callback)[1]
        assert come(client, provider, **BOB, aud=[CLIENT, "another"], azp=CLIENT)[0] == "/schedule"


def test_keys_may_be_of_another_kind_nameless_and_renewed(sqlite_cast: Cast, provider: OidcProvider) -> None:
    cast = sqlite_cast
    confirmed_people(cast)
    with browser(cast, provider) as client:

        def arrive() -> str:
            client.cookies.clear()
            return come(client, provider, **BOB)[0]

        assert arrive() == "/schedule"
        provider.algorithm, provider.key, provider.kid = "ES256", ec_key(), "second"
        provider.keys = [public(ec_key(), "ES256", "second")]
        # The keys were read a moment ago: a stranger's tokens do not make us ask again and again.
        asked = provider.asked.count("/keys")
        assert arrive() == "/login"
        assert provider.asked.count("/keys") == asked
        later(client, timedelta(minutes=2))
        provider.now += 120
        assert arrive() == "/schedule"
        assert provider.asked.count("/keys") == asked + 1
        provider.kid = None
        assert arrive() == "/schedule"
        provider.keys.append(public(ec_key(), "ES256", "third"))
        later(client, timedelta(minutes=2))
        provider.now += 120
        assert arrive() == "/schedule"  # The keys that are known still have one that fits.


def test_a_provider_that_is_away_or_odd_is_said_in_words(sqlite_cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(sqlite_cast)
    away, odd = "St. Mary’s doesn’t answer right now.", "We couldn’t check the answer from St. Mary’s."
    with browser(sqlite_cast, provider) as client:

        def begins() -> str:
            client.cookies.clear()
            later(client, timedelta(seconds=15))
            answer = client.get(START, params={"next": "/schedule/week"})
            assert answer.headers["location"] == "/login?next=%2Fschedule%2Fweek"
            return read(client.get("/login")).text

        provider.status = 503
        assert away in begins()
        # It is not asked again at once.
        asked = len(provider.asked)
        client.get(START)
        assert len(provider.asked) == asked
        provider.status = 302
        assert odd in begins()
        provider.status = 200
        elsewhere = "http://elsewhere.example"
        for lie in ({"issuer": elsewhere}, {"jwks_uri": elsewhere}, {"issuer": None}):
            provider.discovery = lie
            assert odd in begins()
        provider.discovery, provider.big = {}, True
        assert odd in begins()
        provider.big = False
        later(client, timedelta(seconds=15))
        provider.now += 200
        callback = provider.let_in(begin(client), **BOB)
        provider.status = 500
        assert away in finish(client, callback)[1]
    nowhere = identity_providers.OidcProvider(name="hospital", issuer="http://127.0.0.1:9", client_id=CLIENT)
    with client_for(sqlite_cast.database, oidc_providers=(nowhere,)) as client:
        assert client.get(START).headers["location"] == "/login"
        assert client.get("/login/sso/another").status_code == 404


def test_the_page_that_was_wanted_is_ours(sqlite_cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(sqlite_cast)
    with browser(sqlite_cast, provider) as client:
        for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
            client.cookies.clear()
            assert come(client, provider, elsewhere, **BOB)[0] == "/schedule"
        assert client.get(START, params={"next": "//evil.example"}).headers["location"] == "/schedule"


def test_missing_claims_of_the_token_are_read_from_the_provider(sqlite_cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(sqlite_cast)
    with browser(sqlite_cast, provider) as client:
        provider.userinfo = {"sub": "another", "email_verified": True, **BOB}
        assert "couldn’t check" in come(client, provider, email_verified=None)[1]
        provider.userinfo["sub"] = "person-1"
        assert come(client, provider, email_verified=None)[0] == "/schedule"


def test_wrong_answers_of_one_network_are_bounded(sqlite_cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(sqlite_cast)
    with browser(sqlite_cast, provider) as client:
        for _ in range(10):
            come(client, provider, **BOB, nonce="another")
        asked = provider.asked.count("/token")
        assert "too many" in come(client, provider, **BOB)[1]
        assert provider.asked.count("/token") == asked


# ------------------------------------------------------------------------------------------------ the account


def test_a_provider_is_linked_and_unlinked_on_the_account_page(cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(cast)
    link = f"{ACCOUNT}/identities/hospital"

    def way_there(client: TestClient) -> str:
        answer = client.post(link)
        assert answer.status_code == 200, read(answer).text
        found: str = next(each for each in read(answer).links if each.startswith(provider.issuer))
        return found

    with browser(cast, provider) as client, browser(cast, provider) as thief:
        log_in(client, "bob")
        assert link in [form["action"] for form in read(client.get(ACCOUNT)).all("form")]
        # No address is verified: the person is signed in on both sides.
        person = {"email": "else@hospital.example", "email_verified": False}
        callback = provider.let_in(way_there(client), **person)
        log_in(thief, "erin")
        assert "took too long" in finish(thief, callback)[1]
        thief.cookies.update(dict(client.cookies))
        log_in(thief, "erin")
        assert "took too long" in finish(thief, callback)[1]
        location, said = finish(client, provider.let_in(way_there(client), **person))
        assert location == ACCOUNT
        assert "St. Mary’s is linked." in said
        # One person there is one person here.
        assert "linked to another account here" in finish(thief, provider.let_in(way_there(thief), **person))[1]
        later(client, timedelta(minutes=11))
        provider.now += 660
        number = rows(cast, models.LinkedIdentity.id)[0][0]
        removal = f"{ACCOUNT}/identities/{number}/removal"
        assert client.post(removal).status_code in {303, 403}
        assert client.post(link).status_code in {303, 403}
        assert rows(cast, models.LinkedIdentity.id) == [(number,)]
        log_in(client, "bob")
        assert thief.post(removal).status_code == 404
        assert client.post(removal).headers["location"] == ACCOUNT
        assert "St. Mary’s is unlinked." in read(client.get(ACCOUNT)).text
        assert rows(cast, models.LinkedIdentity.id) == []
        cast.change(sa.update(models.User).values(email_confirmed_at=None))
        assert "isn’t confirmed yet" in finish(client, provider.let_in(way_there(client), **person))[1]
    whats = [values["what"] for (values,) in rows(cast, models.OutboxMessage.values)]
    assert whats.count("identity_linked") == whats.count("identity_unlinked") == 1


def test_a_former_user_of_a_patients_account_loses_the_link(cast: Cast, provider: OidcProvider) -> None:
    confirmed_people(cast)
    with browser(cast, provider, roles=["patient", "doctor"]) as client:
        assert come(client, provider, **ALICE)[0] == "/"
        client.cookies.clear()
        assert come(client, provider, **BOB, sub="bob")[0] == "/schedule"
    cast.database.write(former_users.end_passkeys, cast.alice.user_id)
    cast.database.write(former_users.end_passkeys, cast.bob.user_id)
    assert rows(cast, models.LinkedIdentity.user_id) == [(cast.bob.user_id,)]
