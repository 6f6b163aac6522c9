"""A small OpenID Connect provider on loopback, which enforces PKCE and answers wrongly on request."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.cast import NOW

CLIENT, SECRET = "docket", "a secret: of the client/"


@lru_cache
def rsa_key(size: int = 2048) -> Any:
    """A key, made once because that takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


@lru_cache
def ec_key() -> Any:
    """A key of the other kind."""
    return ec.generate_private_key(ec.SECP256R1())


def public(key: Any, algorithm: str, kid: str | None) -> dict[str, Any]:
    """The public half as providers publish it."""
    maker: Any = jwt.get_algorithm_by_name(algorithm)
    found: dict[str, Any] = maker.to_jwk(key.public_key(), as_dict=True)
    return found | {"use": "sig"} | ({"kid": kid} if kid else {})


@dataclass
class OidcProvider:
    """What it answers. Tests change these to attack."""

    issuer: str
    algorithm: str = "RS256"
    kid: str | None = "first"
    key: Any = field(default_factory=rsa_key)
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public(rsa_key(), "RS256", "first")])
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    status: int = 200
    big: bool = False
    now: float = NOW.timestamp()
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def let_in(self, address: str, **person: Any) -> str:
        """What the person's browser is led back to, after signing in at the address that Docket leads to."""
        wanted = dict(parse_qsl(urlsplit(address).query))
        assert address.startswith(f"{self.issuer}/authorize?")
        assert (wanted["client_id"], wanted["response_type"]) == (CLIENT, "code")
        assert wanted["code_challenge_method"] == "S256"
        self.claims = {"sub": "person-1", "email_verified": True, "name": "Somebody", **person}
        code = token_urlsafe(8)
        self.codes[code] = wanted
        return f"{wanted['redirect_uri']}?{urlencode({'code': code, 'state': wanted['state'], 'iss': self.issuer})}"

    def redeem(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The tokens for a code: once, with its verifier, for the client that knows its secret."""
        name, _colon, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        wanted = self.codes.pop(form.get("code", ""), None)
        if wanted is None or (unquote(name), unquote(secret)) != (CLIENT, SECRET):
            return None
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if challenge != wanted["code_challenge"] or form["redirect_uri"] != wanted["redirect_uri"]:
            return None
        return {"access_token": "for-userinfo", "token_type": "Bearer", "id_token": self.token or self._token(wanted)}

    def _token(self, wanted: dict[str, str]) -> str:
        at = int(self.now)
        said = {"iss": self.issuer, "aud": CLIENT, "iat": at, "exp": at + 300, "nonce": wanted["nonce"], **self.claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.key, self.algorithm, {"kid": self.kid} if self.kid else None)

    def answer(self, path: str, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The status and the body of an answer."""
        self.asked.append(path)
        if self.status != 200:
            return self.status, {}
        match path:
            case "/.well-known/openid-configuration":
                addresses = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                found = {name: f"{self.issuer}/{end}" for name, end in addresses.items()}
                found |= {"issuer": self.issuer, "userinfo_endpoint": f"{self.issuer}/userinfo", **self.discovery}
                return 200, found | ({"more": "x" * 300_000} if self.big else {})
            case "/keys":
                return 200, {"keys": self.keys}
            case "/token":
                tokens = self.redeem(form, authorization)
                return (200, tokens) if tokens else (400, {"error": "invalid_grant"})
            case "/userinfo" if authorization == "Bearer for-userinfo":
                return 200, {"sub": self.claims.get("sub"), **self.userinfo}
        return 404, {}


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """A provider that runs while the test does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send({name: values[0] for name, values in parse_qs(body).items()})

        def _send(self, form: dict[str, str]) -> None:
            status, said = provider.answer(self.path, form, self.headers.get("authorization", ""))
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = OidcProvider(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
