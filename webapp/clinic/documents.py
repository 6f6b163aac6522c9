"""The clinic's own words for its patients: the privacy notice and the imprint, in numbered versions.

A version that was published is never changed: people have read it, and the database keeps who and when. Nothing is
shown before an admin publishes it; until then there is an outline to start from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, StringConstraints
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.models import ClinicDocument, ClinicSettings, Consent
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import lock_settings
from webapp.database import table_of
from webapp.exceptions import Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.sql_functions import insert_into

DocumentKind = Literal["privacy", "imprint"]
KINDS: tuple[DocumentKind, ...] = ("privacy", "imprint")
# The parts that the clinic has to complete are between these.
OPEN, CLOSE = "[[", "]]"


class PublishDocument(BaseModel):
    """A new version. `asks_again`: everyone with an account is asked whether they have read it."""

    text: Annotated[str, StringConstraints(min_length=20, max_length=40_000)]
    asks_again: bool = False


class Document(NamedTuple):
    """One published version; `published_at` is UTC."""

    id: int
    kind: str
    version: int
    text: str
    published_at: datetime


_COLUMNS = [getattr(ClinicDocument, name) for name in Document._fields]


def get_document(session: Session, kind: DocumentKind, version: int | None) -> Document:
    """A published version, or the newest.

    Raises:
        NotFound: nothing is published, or there is no such version.
    """
    query = sa.select(*_COLUMNS).where(ClinicDocument.kind == kind)
    if version is not None:
        query = query.where(ClinicDocument.version == version)
    row = session.execute(query.order_by(ClinicDocument.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFound(_("The clinic has not published this page yet."))
    return Document(*row)


def list_versions(session: Session, kind: DocumentKind) -> list[Document]:
    """All versions, the newest first."""
    query = sa.select(*_COLUMNS).where(ClinicDocument.kind == kind).order_by(ClinicDocument.version.desc())
    return [Document(*row) for row in session.execute(query)]


def publish_document(
    session: Session, actor: Actor, kind: DocumentKind, command: PublishDocument, *, now: datetime
) -> int:
    """Publish a new version and return its number. Publishing the same text twice has the same effect as once.

    Raises:
        Invalid: a part of the outline is not completed.
    """
    if OPEN in command.text or CLOSE in command.text:
        message = _("Complete or delete every part in double brackets, such as %(part)s.")
        begin = command.text.find(OPEN)
        part = command.text[begin : begin + 60].split(CLOSE)[0] if begin >= 0 else CLOSE
        raise Invalid(message % {"part": f"{part}{CLOSE}"}, code="not_completed", field="text")
    lock_settings(session)
    versions = list_versions(session, kind)
    if versions and versions[0].text == command.text and not command.asks_again:
        return versions[0].version
    version = versions[0].version + 1 if versions else 1
    document = ClinicDocument(
        kind=kind, version=version, text=command.text, asks_again=command.asks_again, published_at=now
    )
    session.add(document)
    session.flush()
    changed = {f"{kind}_document": document.id}
    if command.asks_again and kind == "privacy":
        changed["consent_document"] = document.id
    session.execute(sa.update(ClinicSettings).where(ClinicSettings.id == 1).values(changed))
    details = {"kind": kind, "version": version}
    audit.record_by(session, actor, "document_published", subject=("clinic", 1), now=now, details=details)
    return version


def note_consent(session: Session, user_id: int, *, shown: int | None = None, now: datetime) -> None:
    """Record that this account was shown the privacy notice, and confirmed that it was read.

    `shown` is the version that was shown; None: the one of today.
    """
    document_id = get_clinic(session).privacy_document if shown is None else shown
    if document_id:
        row = insert_into(table_of(Consent), session.connection().dialect.name)
        session.execute(row.values(user_id=user_id, document_id=document_id, at=now).on_conflict_do_nothing())


def is_to_be_read(session: Session, clinic: Clinic, user_id: int) -> bool:
    """Whether this account still has to confirm a notice about which the clinic asks everyone again."""
    if not clinic.consent_document:
        return False
    read = sa.select(Consent.document_id).where(
        Consent.user_id == user_id, Consent.document_id >= clinic.consent_document
    )
    return session.scalar(read.limit(1)) is None


def outline(kind: DocumentKind, clinic: Clinic) -> str:
    """A text to start from. It is no legal advice; the parts that only the clinic knows are in double brackets."""
    place = ", ".join(part for part in (clinic.name_shown, clinic.address) if part)
    if kind == "imprint":
        return _IMPRINT % {"place": place, "phone": clinic.phone_shown or "[[phone]]"}
    return _PRIVACY % {"place": place, "phone": clinic.phone_shown or "[[phone]]", "name": clinic.name_shown}


# These are the clinic's own words once it has completed them, in its own language, so they are not translated.
_PRIVACY = """[[This is an outline. Complete it with the help of a lawyer, and delete this line.]]

# Who is responsible
%(place)s. Phone: %(phone)s. [[E-mail address; your data protection officer, if you have one]]

# What we keep
Your name and e-mail address, and, if you give them, your phone number and date of birth. Your appointments, with what \
you told us about the reason. The messages we sent you about them. When and from where you signed in. Who of our staff \
viewed or changed your data.

# Why, and on what legal basis
To book your appointments, to prepare them and to remind you of them: [[contract for treatment, article 6(1)(b) and \
article 9(2)(h) of the GDPR]]. To keep medical records for as long as the law asks: [[law and period]].

# Who receives it
Our doctors and the front desk. [[Your hosting provider, mail provider and provider of text messages, with a contract \
for each.]] We sell nothing, and there is no tracking on these pages.

# For how long
Messages are deleted after [[period]]. Your record is kept for [[period]] after your last appointment.

# Cookies
Only those that these pages need: one that keeps you signed in, one that recognises your browser when you sign in \
again, and one that carries a message from page to page.

# Your rights
You can get a copy of your data, correct it, and delete your account under My account, Your data, or ask us. You can \
complain to [[the supervisory authority of your country]].
"""
_IMPRINT = """[[This is an outline. Complete it as the law of your country asks, and delete this line.]]

# Clinic
%(place)s

# Contact
Phone: %(phone)s
[[E-mail address]]

# Represented by
[[Name of the owner or the managing director]]

# Register and supervision
[[Number in the commercial register, tax number, supervising authority, professional chamber and rules]]
"""
