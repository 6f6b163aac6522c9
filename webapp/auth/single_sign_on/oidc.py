"""The client of an OpenID Connect provider: the code flow with PKCE, and the checks that an ID token must pass.

A provider is named by its issuer. Everything else comes from its discovery document, which is kept for an hour, and so
are its keys; an unknown key makes us read them again, once a minute at most. Nothing that a provider sends is trusted
before its signature, issuer, audience, nonce and times are verified, and nothing is sent unencrypted over a network.

A provider that hangs must not block our threads: waits are short, answers have a maximum size, and only a few requests
wait for it at a time. The libraries for requests and signatures are large and most processes never need them, so they
are imported where they are used.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import quote

from webapp.auth.single_sign_on.sign_on_exceptions import ProviderUnavailable, SignOnRefused
from webapp.core.tls import cached_context
from webapp.core.urls import with_query
from webapp.identity_providers import OidcProvider, is_safe_address

# Signatures that only the provider can make: neither `none`, nor those of a secret that both sides know.
ALGORITHMS = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "EdDSA": "OKP",
}
SHORTEST_RSA = 2048
LEEWAY = timedelta(seconds=60)
# A token is made for the code that we have just sent.
OLDEST = timedelta(minutes=10)
KEPT_FOR, ASKED_AGAIN_AFTER = timedelta(hours=1), timedelta(minutes=1)
AWAY_FOR = timedelta(seconds=10)
MOST_BYTES = 256 * 1024
CONNECT_WITHIN, READ_WITHIN, ALL_WITHIN = 3.0, 4.0, 8.0
MOST_AT_ONCE = 4


class Identity(NamedTuple):
    """The person who signed in at the provider. `email` is '' unless the provider has verified it; `claims` may name a
    role.
    """

    issuer: str
    subject: str
    email: str
    name: str
    claims: dict[str, Any]
    two_factors: bool


class _CachedAnswer(NamedTuple):
    value: dict[str, Any]
    at: datetime


class OidcClient:
    """One provider, as a process knows it. Threads share it."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self._metadata: _CachedAnswer | None = None
        self._keys: _CachedAnswer | None = None
        self._away_until: datetime | None = None
        self._places = BoundedSemaphore(MOST_AT_ONCE)

    def start_address(self, *, state: str, nonce: str, verifier: str, back: str, now: datetime) -> str:
        """The provider's page at which a sign-in begins; it leads back to the address `back`.

        Raises:
            ProviderUnavailable, SignOnRefused: the provider's discovery document cannot be read, or is not to be
                trusted.
        """
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        with self._asking(now):
            page: str = self._discovered(now)["authorization_endpoint"]
        return with_query(
            page,
            response_type="code",
            client_id=self.provider.client_id,
            redirect_uri=back,
            scope=self.provider.scopes,
            state=state,
            nonce=nonce,
            code_challenge=challenge,
            code_challenge_method="S256",
        )

    def identify(self, code: str, *, said_issuer: str, nonce: str, verifier: str, back: str, now: datetime) -> Identity:
        """Exchange the code that the browser brought for an ID token, and check that.

        `said_issuer` is what the browser's address says to come from (RFC 9207): another provider may have sent it.

        Raises:
            ProviderUnavailable. SignOnRefused: the code or the token is not right.
        """
        with self._asking(now):
            metadata = self._discovered(now)
            promised = metadata.get("authorization_response_iss_parameter_supported") is True
            if (said_issuer or promised) and said_issuer != self.provider.issuer:
                raise self._untrusted()
            tokens = self._redeem(metadata, code, verifier, back)
            claims = self._verified(metadata, tokens.get("id_token"), nonce, now)
            claims = self._completed(metadata, tokens.get("access_token"), claims)
        return self._identity(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        email, amr, name = claims.get("email"), claims.get("amr"), claims.get("name")
        # Some providers send the text "true"; by the standard only the boolean means verified.
        verified = isinstance(email, str) and claims.get("email_verified") is True
        return Identity(
            issuer=self.provider.issuer,
            subject=claims["sub"],
            email=str(email) if verified else "",
            name=name if isinstance(name, str) else "",
            claims=claims,
            two_factors=isinstance(amr, list) and "mfa" in amr,
        )

    # ------------------------------------------------------------------------------------------ what we ask

    def _discovered(self, now: datetime) -> dict[str, Any]:
        if self._metadata is None or now - self._metadata.at >= KEPT_FOR:
            address = f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = self._read("GET", address)
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != self.provider.issuer or not all(is_safe_address(found.get(n)) for n in needed):
                raise self._untrusted()
            self._metadata = _CachedAnswer(found, now)
        return self._metadata.value

    def _redeem(self, metadata: dict[str, Any], code: str, verifier: str, back: str) -> dict[str, Any]:
        sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        own, secret = self.provider.client_id, self.provider.client_secret
        methods = metadata.get("token_endpoint_auth_methods_supported")
        if not secret or (isinstance(methods, list) and "client_secret_basic" not in methods):
            sent |= {"client_id": own} | ({"client_secret": secret} if secret else {})
            return self._read("POST", metadata["token_endpoint"], data=sent)
        # RFC 6749 wants both parts encoded as in a form first.
        pair = (quote(own, safe=""), quote(secret, safe=""))
        return self._read("POST", metadata["token_endpoint"], data=sent, auth=pair)

    def _completed(self, metadata: dict[str, Any], access_token: object, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims of the token, and those from the provider's user info address about the same person."""
        role = self.provider.role_claim
        whole = "email" in claims and (not role or role in claims or role.partition(".")[0] in claims)
        address = metadata.get("userinfo_endpoint")
        if whole or not isinstance(access_token, str) or not is_safe_address(address):
            return claims
        more = self._read("GET", str(address), headers={"authorization": f"Bearer {access_token}"})
        if more.get("sub") != claims["sub"]:
            raise self._untrusted()
        return {**more, **claims}

    @contextmanager
    def _asking(self, now: datetime) -> Iterator[None]:
        """Take one of the few places for requests that wait for the provider; refuse while it is known to be away."""
        if self._away_until is not None and now < self._away_until:
            raise ProviderUnavailable(self.provider.shown)
        if not self._places.acquire(timeout=1):
            raise ProviderUnavailable(self.provider.shown)
        try:
            yield
        except ProviderUnavailable:
            self._away_until = now + AWAY_FOR
            raise
        else:
            self._away_until = None
        finally:
            self._places.release()

    def _read(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        """The JSON object of an answer, without following redirects, without decompression and up to a maximum size.

        Raises:
            ProviderUnavailable: no answer in time, or 5xx. SignOnRefused: any other answer that is no JSON object.
        """
        import httpx2

        headers = {"accept": "application/json", "accept-encoding": "identity", **more.pop("headers", {})}
        timeout = httpx2.Timeout(READ_WITHIN, connect=CONNECT_WITHIN)
        until, body = monotonic() + ALL_WITHIN, b""
        try:
            with (
                httpx2.Client(
                    timeout=timeout, follow_redirects=False, verify=cached_context(httpx2.create_ssl_context)
                ) as client,
                client.stream(method, address, headers=headers, **more) as answer,
            ):
                for piece in answer.iter_raw():
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise self._untrusted()
                    if monotonic() > until:
                        raise ProviderUnavailable(self.provider.shown)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ProviderUnavailable(self.provider.shown) from error
        if answer.status_code >= 500:
            raise ProviderUnavailable(self.provider.shown)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if answer.status_code != 200 or not isinstance(found, dict):
            raise self._untrusted()
        return found

    # ------------------------------------------------------------------------------------- what we believe

    def _verified(self, metadata: dict[str, Any], token: object, nonce: str, now: datetime) -> dict[str, Any]:
        import jwt

        if not isinstance(token, str):
            raise self._untrusted()
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            if algorithm not in ALGORITHMS:
                raise self._untrusted()
            key = self._key(metadata, header.get("kid"), algorithm, now)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.provider.client_id,
                issuer=self.provider.issuer,
                # Our own clock is compared below.
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise self._untrusted() from error
        if not (self._is_for_us(claims) and _is_timely(claims, now) and _is_subject(claims.get("sub"))):
            raise self._untrusted()
        sent = claims.get("nonce")
        if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), nonce.encode()):
            raise self._untrusted()
        return claims

    def _is_for_us(self, claims: dict[str, Any]) -> bool:
        """Whether the token was made for us. One for several programs must name us as the party that asked for it."""
        own, audience = self.provider.client_id, claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
            return False
        return bool(claims.get("azp", own) == own)

    def _key(self, metadata: dict[str, Any], kid: object, algorithm: str, now: datetime) -> Any:
        """The provider's key with this id; if the token names no key, its only key of that kind."""
        for keys in self._key_sets(metadata, now):
            fitting = [key for key in keys if _is_for(key, algorithm)]
            if kid is not None:
                fitting = [key for key in fitting if key.get("kid") == kid]
            if len(fitting) == 1:
                return self._public(fitting[0], algorithm)
        raise self._untrusted()

    def _key_sets(self, metadata: dict[str, Any], now: datetime) -> Iterator[list[dict[str, Any]]]:
        """The keys that we know, then those that the provider publishes now."""
        known = self._keys
        if known is not None and now - known.at < KEPT_FOR:
            yield known.value["keys"]
            if now - known.at < ASKED_AGAIN_AFTER:
                return
        found = self._read("GET", metadata["jwks_uri"]).get("keys")
        if not isinstance(found, list):
            raise self._untrusted()
        self._keys = _CachedAnswer({"keys": [key for key in found if isinstance(key, dict)]}, now)
        yield self._keys.value["keys"]

    def _public(self, key: dict[str, Any], algorithm: str) -> Any:
        from jwt import PyJWK

        made = PyJWK(key, algorithm).key
        if getattr(made, "key_size", SHORTEST_RSA) < SHORTEST_RSA and ALGORITHMS[algorithm] == "RSA":
            raise self._untrusted()
        return made

    def _untrusted(self) -> SignOnRefused:
        return SignOnRefused("untrusted", self.provider.shown)


def _is_for(key: dict[str, Any], algorithm: str) -> bool:
    return (
        key.get("kty") == ALGORITHMS[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _is_timely(claims: dict[str, Any], now: datetime) -> bool:
    """Whether the token was made a moment ago, and is still valid."""
    at, until, begins = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (at, until, begins)):
        return False
    clock, leeway = now.timestamp(), LEEWAY.total_seconds()
    made_lately = clock - OLDEST.total_seconds() - leeway < at < clock + leeway
    return bool(made_lately and begins < clock + leeway and until > clock - leeway)


def _is_subject(subject: object) -> bool:
    return isinstance(subject, str) and 0 < len(subject) <= 255
