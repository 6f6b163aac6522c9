"""Accounts, their sessions, and the failed log-ins that throttle guessing."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base


class User(Base):
    """Somebody who can log in. `email` is kept in lower case; `name` is what the pages greet them by.

    `email_confirmed_at` is when somebody followed the link that was sent there. `calendar_secret` is a part of the
    address of their private calendar feed: another one makes the old address useless; '' means that there is none.
    """

    __tablename__ = "users"
    __table_args__ = (sa.CheckConstraint("role IN ('patient', 'doctor', 'admin')", name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    role: Mapped[str] = mapped_column(sa.String(10))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    email_confirmed_at: Mapped[datetime | None]
    calendar_secret: Mapped[str] = mapped_column(sa.String(43), default="", server_default=sa.text("''"))


class UserSession(Base):
    """One signed-in browser. The cookie holds a random id, signed; we keep only its SHA-256."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    id_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(sa.String(45), default="")
    user_agent: Mapped[str] = mapped_column(sa.String(255), default="")


class FailedLogin(Base):
    """An attempt, kept for as long as it counts: pending until it is judged, then a failure.

    The account is a hash: it may not even exist. `device` is a known browser's hash, or says which other kind of
    attempt it is.
    """

    __tablename__ = "failed_logins"
    __table_args__ = (
        sa.Index("ix_failed_logins_account_at", "account", "at"),
        sa.Index("ix_failed_logins_address_at", "address", "at"),
        sa.Index("ix_failed_logins_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(sa.String(64))
    address: Mapped[str] = mapped_column(sa.String(45))
    device: Mapped[str] = mapped_column(sa.String(64), default="")
    judged: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]


class PasswordLink(Base):
    """A link that sets a password once, before `expires_at`. We keep only its SHA-256."""

    __tablename__ = "password_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class RefreshToken(Base):
    """One link in the chain of an API session's refresh tokens: used once, it is replaced by the next.

    Used ones are kept until they expire, so that a stolen one that is used again ends the session.
    """

    __tablename__ = "refresh_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    session_id: Mapped[int] = mapped_column(sa.ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
