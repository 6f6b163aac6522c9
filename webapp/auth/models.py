"""Accounts, their sessions, and the failed sign-ins that limit guessing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base


class User(Base):
    """An account. `email` is stored in lower case; pages greet the user by `name`.

    `email_confirmed_at` is when the user followed the link that was sent to the address. `new_email` is the address
    that the user wants instead; it replaces `email` when its link is followed before `new_email_until`. `has_password`
    is false until the link to the first password is used. `last_seen_at` stays when sessions end. `calendar_secret` is
    part of the address of the private calendar feed: a new secret invalidates the old address; '' means that there is
    no feed. `factor_since` is when the account got its first second factor, an app or a passkey; None: it has none.

    An account with the role `machine` belongs to an API token: it has the token's name, is never active, and has no
    password. It stays when the token ends, because the audit log and histories name it.
    """

    __tablename__ = "users"
    __table_args__ = (
        sa.CheckConstraint("role IN ('patient', 'receptionist', 'doctor', 'admin', 'machine')", name="role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    role: Mapped[str] = mapped_column(sa.String(20))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    email_confirmed_at: Mapped[datetime | None]
    calendar_secret: Mapped[str] = mapped_column(sa.String(43), default="", server_default=sa.text("''"))
    has_password: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    last_seen_at: Mapped[datetime | None]
    new_email: Mapped[str] = mapped_column(sa.String(254), default="", server_default=sa.text("''"))
    new_email_until: Mapped[datetime | None]
    factor_since: Mapped[datetime | None]


class UserSession(Base):
    """One signed-in browser. The cookie holds a random id, signed; we store only its SHA-256.

    `waits` is true while the password, or another first step, was right and the second factor is still missing: such a
    session opens nothing but the page that asks for it. `factor_at` is when its owner last proved who they are, by
    signing in or by confirming it. `factor_elsewhere`: a provider that the clinic trusts asked for a second factor.
    """

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    id_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(sa.String(45), default="")
    user_agent: Mapped[str] = mapped_column(sa.String(255), default="")
    waits: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    factor_at: Mapped[datetime | None]
    factor_elsewhere: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class SignInRules(Base):
    """The single row of the clinic's rules about how staff sign in; without it the defaults hold.

    A session of staff ends after `idle_minutes` without a request, and `staff_hours` after it began. Doctors, the front
    desk and admins need a second factor where theirs is true.
    """

    __tablename__ = "sign_in_rules"
    __table_args__ = (
        sa.CheckConstraint("id = 1", name="single_row"),
        sa.CheckConstraint("idle_minutes BETWEEN 5 AND 240", name="idle_minutes"),
        sa.CheckConstraint("staff_hours BETWEEN 1 AND 24", name="staff_hours"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    idle_minutes: Mapped[int] = mapped_column(default=30, server_default=sa.text("30"))
    staff_hours: Mapped[int] = mapped_column(default=12, server_default=sa.text("12"))
    factor_doctors: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    factor_admins: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    factor_desk: Mapped[bool] = mapped_column(default=True, server_default=sa.true())


class FailedLogin(Base):
    """An attempt, kept for as long as it counts: pending until it is judged, then a failure.

    `account` is a hash: the account may not even exist. `address`, `site` and `region` are the networks of the client,
    from the narrowest to the widest. `device` is the hash of a known browser, or the kind of attempt where it is not a
    sign-in on our pages.
    """

    __tablename__ = "failed_logins"
    __table_args__ = (
        sa.Index("ix_failed_logins_account_at", "account", "at"),
        sa.Index("ix_failed_logins_address_at", "address", "at"),
        sa.Index("ix_failed_logins_site_at", "site", "at"),
        sa.Index("ix_failed_logins_region_at", "region", "at"),
        sa.Index("ix_failed_logins_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(sa.String(64))
    address: Mapped[str] = mapped_column(sa.String(45))
    site: Mapped[str] = mapped_column(sa.String(45), default="", server_default=sa.text("''"))
    region: Mapped[str] = mapped_column(sa.String(45), default="", server_default=sa.text("''"))
    device: Mapped[str] = mapped_column(sa.String(64), default="")
    judged: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]


class Draft(Base):
    """The text of a form that was not sent, kept for an hour; see `drafts`. We store only the hash of its key.

    `account` is a hash, or '' while it is not known who wrote it. `address` is where the user goes on with it.
    """

    __tablename__ = "drafts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    account: Mapped[str] = mapped_column(sa.String(64), index=True)
    action: Mapped[str] = mapped_column(sa.String(300))
    address: Mapped[str] = mapped_column(sa.String(1000))
    fields: Mapped[list[list[str]]] = mapped_column(sa.JSON)
    created_at: Mapped[datetime] = mapped_column(index=True)


class SignInCode(Base):
    """A code that was sent to an e-mail address, for the browser that asked for it; see `sign_in_codes`.

    `account` and `browser` are hashes. The code itself follows from `nonce` and our secret key; `code_hash` is made
    with that key as well, because six digits can be guessed from a plain hash. `device` is the hash of a browser that
    has signed in to this account before, or ''. `mailed`: it was really sent. `proved_at` is when it was entered: the
    browser may then create an account with that address, once, at `used_at`. `registration` is what was typed about the
    account that the code will create, with the hash of its password.
    """

    __tablename__ = "sign_in_codes"
    __table_args__ = (
        sa.Index("ix_sign_in_codes_account_sent_at", "account", "sent_at"),
        sa.Index("ix_sign_in_codes_browser", "browser"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    browser: Mapped[str] = mapped_column(sa.String(64))
    account: Mapped[str] = mapped_column(sa.String(64))
    device: Mapped[str] = mapped_column(sa.String(64), default="")
    nonce: Mapped[str] = mapped_column(sa.String(43))
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    tries: Mapped[int] = mapped_column(default=0)
    mailed: Mapped[bool] = mapped_column(default=False)
    sent_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    proved_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    registration: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))


class PasswordLink(Base):
    """A link that sets a password once, before `expires_at`. We store only its SHA-256.

    `made_by` is the account that made it, such as an admin's. It has no foreign key, because that account may be
    deleted first.
    """

    __tablename__ = "password_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    made_by: Mapped[int | None]
    expires_at: Mapped[datetime]


class RefreshToken(Base):
    """One of the refresh tokens of an API session: each is used once and replaced by the next.

    Used tokens are kept until they expire, so that the reuse of a stolen one ends the session.
    """

    __tablename__ = "refresh_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    session_id: Mapped[int] = mapped_column(sa.ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AuthenticatorApp(Base):
    """The app in which a member of staff reads codes (TOTP, RFC 6238). `secret` is sealed with a key of the settings.

    `last_step` is the time step of the last code that was used: a code works once.
    """

    __tablename__ = "authenticator_apps"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(sa.String(400))
    last_step: Mapped[int] = mapped_column(sa.BigInteger)
    created_at: Mapped[datetime]


class RecoveryCode(Base):
    """A code that replaces the second factor once. We store only its HMAC; used ones stay until there are new ones."""

    __tablename__ = "recovery_codes"
    __table_args__ = (sa.UniqueConstraint("user_id", "code_hash", name="uq_recovery_codes_user_id_code_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    used_at: Mapped[datetime | None]


class Passkey(Base):
    """A passkey (WebAuthn) of an account: the public half of its key, and how often the private half has signed."""

    __tablename__ = "passkeys"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[str] = mapped_column(sa.String(1400), unique=True)
    public_key: Mapped[bytes]
    sign_count: Mapped[int] = mapped_column(sa.BigInteger)
    name: Mapped[str] = mapped_column(sa.String(60))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """A challenge that a passkey has to sign, once and within minutes. We store only its SHA-256.

    `user_id` is None while it is not known who signs in. `network` is where it was asked for.
    """

    __tablename__ = "passkey_challenges"

    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    purpose: Mapped[str] = mapped_column(sa.String(10))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    network: Mapped[str] = mapped_column(sa.String(45), index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)


class ApiToken(Base):
    """A token with which a program uses the API; see `api_tokens`. We store only its SHA-256.

    `user_id` is the account that holds its name. `handle` is the readable part of the token, by which a leaked one is
    found. `scopes` are separated by spaces. `made_by` is the account of the admin who made it. It has no foreign key,
    because that account may be deleted first.
    """

    __tablename__ = "api_tokens"
    __table_args__ = (sa.CheckConstraint("expires_at > created_at", name="ends"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    handle: Mapped[str] = mapped_column(sa.String(8), unique=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    scopes: Mapped[str] = mapped_column(sa.String(200))
    made_by: Mapped[int]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]
    last_network: Mapped[str] = mapped_column(sa.String(45), default="", server_default=sa.text("''"))


class LinkedIdentity(Base):
    """An account at an OpenID Connect provider that signs in to an account here; see `identities`.

    `issuer` and `subject` are the provider's name for the person; `provider` is its name in the settings, and `email`
    the address there, both to be shown. An account has one of each issuer.
    """

    __tablename__ = "linked_identities"
    __table_args__ = (
        sa.UniqueConstraint("issuer", "subject", name="uq_linked_identities_issuer_subject"),
        sa.UniqueConstraint("user_id", "issuer", name="uq_linked_identities_user_id_issuer"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    provider: Mapped[str] = mapped_column(sa.String(30))
    issuer: Mapped[str] = mapped_column(sa.String(255))
    subject: Mapped[str] = mapped_column(sa.String(255))
    email: Mapped[str] = mapped_column(sa.String(254))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


class SpentSignOn(Base):
    """A sign-in with a provider that has come back: its answer is taken once. Kept for as long as one may last."""

    __tablename__ = "spent_sign_ons"

    state_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
