"""`docket user`: accounts, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from webapp.commands.places import WrongUse, open_database, own_address
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.exceptions import NotFound

ROLES = ("patient", "receptionist", "doctor", "admin")


@click.group()
def user() -> None:
    """Manage accounts."""


@user.command("create")
@click.option("--role", required=True, type=click.Choice(ROLES))
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--doctor", help="For the role doctor: whose account it is, by the name in the doctor's address.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_create(role: Any, email: str, name: str, doctor: str | None, password_stdin: bool) -> None:
    """Create an account; asks for the password unless it comes from standard input."""
    from webapp.accounts import create_account

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with open_database() as database:
        create_account(database, role=role, email=email, name=name, password=password, now=utc_now(), doctor=doctor)
    click.echo(f"Created the {role} {email}.")


@user.command("list")
@click.option("--role", type=click.Choice(ROLES), help="Only accounts with this role.")
@click.option("--disabled", is_flag=True, help="Only disabled accounts.")
def user_list(role: Any, disabled: bool) -> None:
    """List the accounts: address, role, whether they can sign in, when they were last seen (UTC), name."""
    from webapp.accounts import list_accounts
    from webapp.auth.queries import UserFilter

    with open_database() as database:
        found = list_accounts(database, UserFilter(role=role, active=False if disabled else None))
    if not found:
        click.echo("No accounts found.", err=True)
        return
    width = max(len(row.email) for row in found)
    for row in found:
        state = "disabled" if not row.active else "active" if row.has_password else "no password"
        seen = f"{row.last_seen_at:%Y-%m-%d %H:%M}" if row.last_seen_at else "never"
        click.echo(f"{row.email:{width}}  {row.role:12}  {state:11}  {seen:16}  {row.name}")


@user.command("disable")
@click.argument("email")
def user_disable(email: str) -> None:
    """Disable the account EMAIL: it is signed out everywhere and cannot sign in.

    Exit code 1 if it is the last admin who can sign in, 2 if there is no such account.
    """
    _set_active(email, active=False)


@user.command("enable")
@click.argument("email")
def user_enable(email: str) -> None:
    """Enable the account EMAIL again, with the password that it had. Exit code 2 if there is no such account."""
    _set_active(email, active=True)


def _set_active(email: str, *, active: bool) -> None:
    from webapp.accounts import set_active

    with open_database() as database, _named_account():
        changed = set_active(database, email, active=active, now=utc_now())
    state = "enabled" if active else "disabled"
    click.echo(f"The account {email} is {state}." if changed else f"The account {email} was {state} already.")


@user.command("password-link")
@click.argument("email")
def user_password_link(email: str) -> None:
    """Print a link with which the owner of the account EMAIL chooses a password. It works once, for seven days.

    Older links end; the current password works until the link is used. Exit code 1 if the account is disabled, 2 if
    there is no such account.
    """
    from webapp.accounts import make_password_link

    settings = Settings()
    with open_database() as database, _named_account():
        path = make_password_link(database, email, now=utc_now())
    click.echo(f"{settings.base_url or own_address('localhost', 8000)}{path}")
    if not settings.base_url:
        click.echo("The setting DOCKET_BASE_URL is empty, so the link is for this machine.", err=True)


@user.command("reset-factor")
@click.argument("email")
def user_reset_factor(email: str) -> None:
    """Remove the second factors of the account EMAIL, whose owner lost the device, and sign it out everywhere.

    They are told by email, sign in with the password, and set two-step sign-in up again where the clinic requires it.
    Exit code 1 if the account has no second factor, 2 if there is no such account.
    """
    from webapp.accounts import reset_factor

    with open_database() as database, _named_account():
        reset_factor(database, email, now=utc_now())
    click.echo(f"Two-step sign-in of the account {email} is reset.")


@contextmanager
def _named_account() -> Iterator[None]:
    """An address without an account is wrong use."""
    try:
        yield
    except NotFound as error:
        raise WrongUse(error.message) from error
