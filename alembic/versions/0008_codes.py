"""Stored sentences of ours become codes with their values, which are turned into text when they are read.

This applies to flags, the clinic's own reasons of cancellations and in messages, errors of messages, and the texts of
events in mails. A text that does not begin with one of our sentences was typed, and becomes the value of the code
'note'. The database does everything, because the outbox may be long; only the downgrade writes events in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

REASONS = {
    "doctor_inactive": "The doctor takes no bookings any more.",
    "visit_type_not_offered": "The doctor no longer offers this kind of visit.",
    "closure": "The clinic is closed on that day.",
    "clinic_closed": "It is outside opening hours.",
    "outside_working_hours": "It is outside the doctor’s working hours.",
    "time_off": "The doctor is away.",
    "too_far_ahead": "It is further ahead than visits can be booked.",
    "patient_gap": "It is too close to another visit of the patient.",
}
# The text before and after the value of each error.
TROUBLES = {
    "mail_address": ("The mail server cannot write to such an address.", None),
    "mail_answered": ("The mail server answered: ", ""),
    "mail_away": ("The mail server cannot be reached.", None),
    "mail_broken_off": ("The mail server broke the connection off.", None),
    "mail_late": ("The mail server did not answer in time.", None),
    "mail_login": ("The mail server does not let us in: ", ""),
    "mail_login_unsafe": ("The mail server offers no safe way to log in.", None),
    "mail_refused": ("The mail server refused the connection.", None),
    "mail_unsafe": ("The mail server offers no safe connection: its certificate is not one we can trust.", None),
    "not_written_out": ("It could not be written out: ", "."),
    "old_news": ("It could not be delivered while it was still news.", None),
    "no_file": ("It could not be written into a file: ", "."),
    "sms_answered": ("The gateway for text messages answered with status ", "."),
    "sms_away": ("The gateway for text messages cannot be reached.", None),
    "sms_late": ("The gateway for text messages did not answer in time.", None),
}
AT_ONCE = 1000

_VISITS = sa.table(
    "appointments", sa.column("flagged_why"), sa.column("cancellation_reason"), sa.column("cancellation_code")
)
_OUTBOX = sa.table(
    "outbox_messages",
    sa.column("id", sa.Integer),
    sa.column("channel"),
    sa.column("values", sa.JSON),
    sa.column("last_error", sa.String),
)
_FLAG, _WHY, _CODE = _VISITS.c.flagged_why, _VISITS.c.cancellation_reason, _VISITS.c.cancellation_code
_ERROR = _OUTBOX.c.last_error


def upgrade() -> None:
    # The outbox comes first: on PostgreSQL the new column locks the appointments until the end.
    coded = _chosen([_error_becomes_code(*each) for each in TROUBLES.items()], _first(300, _as_note(_ERROR)))
    op.execute(sa.update(_OUTBOX).where(_ERROR != "").values(last_error=coded))
    _reasons_of_messages({sentence: code for code, sentence in REASONS.items()})
    _take_words_from_events()
    op.add_column(
        "appointments", sa.Column("cancellation_code", sa.String(40), nullable=False, server_default=sa.text("''"))
    )
    coded = _chosen([_flag_becomes_code(*each) for each in REASONS.items()], _first(300, _as_note(_FLAG)))
    op.execute(sa.update(_VISITS).where(_FLAG != "").values(flagged_why=coded))
    codes = sa.case({sentence: code for code, sentence in REASONS.items()}, value=_WHY)
    op.execute(
        sa.update(_VISITS)
        .where(_WHY.in_(list(REASONS.values())))
        .values(cancellation_code=codes, cancellation_reason="")
    )


def downgrade() -> None:
    _write_words_into_events()
    _reasons_of_messages(REASONS)
    said = _chosen([_code_becomes_error(*each) for each in TROUBLES.items()], _without_note(_ERROR))
    op.execute(sa.update(_OUTBOX).where(_ERROR != "").values(last_error=_first(300, said)))
    op.execute(
        sa.update(_VISITS)
        .where(_CODE.in_(list(REASONS)), _WHY == "")
        .values(cancellation_reason=sa.case(dict(REASONS), value=_CODE))
    )
    said = _chosen([_code_becomes_flag(*each) for each in REASONS.items()], _without_note(_FLAG))
    op.execute(sa.update(_VISITS).where(_FLAG != "").values(flagged_why=_first(300, said)))
    op.drop_column("appointments", "cancellation_code")


# ---------------------------------------------------------------------------------------------- one text or code

Text = sa.ColumnElement[str]
# The condition for a text, and what it becomes.
Choice = tuple[sa.ColumnElement[bool], Any]


def _chosen(choices: list[list[Choice]], otherwise: Any) -> sa.Case[Any]:
    return sa.case(*(choice for several in choices for choice in several), else_=otherwise)


def _first(length: int, text: Any) -> Any:
    return sa.func.substr(text, 1, length)


def _after(text: Text, beginning: str) -> Any:
    return sa.func.substr(text, len(beginning) + 1)


def _begins(text: Text, beginning: str) -> sa.ColumnElement[bool]:
    """Compare letter by letter: LIKE would interpret characters of the text, and on SQLite ignore the case."""
    return sa.func.substr(text, 1, len(beginning)) == beginning


def _ends(text: Text, end: str) -> sa.ColumnElement[bool]:
    return sa.func.substr(text, sa.func.length(text) - len(end) + 1) == end if end else sa.true()


def _as_note(text: Text) -> Any:
    return sa.literal("note:") + text


def _without_note(text: Text) -> Any:
    return sa.case((_begins(text, "note:"), _after(text, "note:")), else_=text)


def _flag_becomes_code(code: str, sentence: str) -> list[Choice]:
    with_words = sa.literal(f"{code}:") + _after(_FLAG, f"{sentence} ")
    return [(sentence == _FLAG, code), (_begins(_FLAG, f"{sentence} "), with_words)]


def _code_becomes_flag(code: str, sentence: str) -> list[Choice]:
    with_words = sa.literal(f"{sentence} ") + _after(_FLAG, f"{code}:")
    return [(code == _FLAG, sentence), (_begins(_FLAG, f"{code}:"), with_words)]


def _error_becomes_code(code: str, parts: tuple[str, str | None]) -> list[Choice]:
    before, after = parts
    if after is None:
        return [(before == _ERROR, code)]
    length = sa.func.length(_ERROR) - len(before) - len(after)
    value = sa.func.substr(_ERROR, len(before) + 1, length)
    fits = sa.and_(_begins(_ERROR, before), _ends(_ERROR, after), length > 0)
    return [(fits, sa.literal(f"{code}:") + value)]


def _code_becomes_error(code: str, parts: tuple[str, str | None]) -> list[Choice]:
    before, after = parts
    if after is None:
        return [(code == _ERROR, before)]
    return [(_begins(_ERROR, f"{code}:"), sa.literal(before) + _after(_ERROR, f"{code}:") + sa.literal(after))]


# ------------------------------------------------------------------------------------------------- in the outbox


def _reasons_of_messages(new_words: dict[str, str]) -> None:
    """Rewrite the `why` of messages: its present value, and what it becomes."""
    becomes_codes = "closure" in new_words.values()
    dialect = op.get_bind().dialect.name
    now = "json_extract(\"values\", '$.why')" if dialect == "sqlite" else "(\"values\"->>'why')"
    choices = " ".join(f"WHEN :old{n} THEN :new{n}" for n in range(len(new_words)))
    rest = (
        f"'note:' || {now}" if becomes_codes else f"CASE WHEN {now} LIKE 'note:%' THEN substr({now}, 6) ELSE {now} END"
    )
    new = f"CASE {now} {choices} ELSE {rest} END"
    written = (
        f"json_set(\"values\", '$.why', {new})"
        if dialect == "sqlite"
        else f"jsonb_set(\"values\"::jsonb, '{{why}}', to_jsonb({new}))::json"
    )
    texts = {f"old{n}": old for n, old in enumerate(new_words)} | {
        f"new{n}": new for n, new in enumerate(new_words.values())
    }
    statement = sa.text(f"UPDATE outbox_messages SET \"values\" = {written} WHERE {now} <> ''")
    op.execute(statement.bindparams(*(sa.bindparam(name, text, sa.String) for name, text in texts.items())))


def _take_words_from_events() -> None:
    """Keep only the facts of events: their titles and descriptions are written when the mail is rendered."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    events = "json_array_length(\"values\"->'calendar'->'events')"
    count = (
        "json_array_length(\"values\", '$.calendar.events')"
        if is_sqlite
        else f"CASE json_typeof(\"values\"->'calendar') WHEN 'object' THEN {events} END"
    )
    most = (
        connection.execute(sa.text(f"SELECT max({count}) FROM outbox_messages WHERE channel = 'email'")).scalar() or 0
    )
    if not most:
        return
    names = [(number, name) for number in range(most) for name in ("summary", "description")]
    if is_sqlite:
        paths = ", ".join(f"'$.calendar.events[{number}].event.{name}'" for number, name in names)
        left = f'json_remove("values", {paths})'
    else:
        left = '"values"::jsonb' + "".join(f" #- '{{calendar,events,{number},event,{name}}}'" for number, name in names)
        left = f"({left})::json"
    connection.execute(
        sa.text(f"UPDATE outbox_messages SET \"values\" = {left} WHERE channel = 'email' AND {count} > 0")
    )


def _write_words_into_events() -> None:
    connection = op.get_bind()
    last = 0
    query = sa.select(_OUTBOX.c.id, _OUTBOX.c["values"]).where(_OUTBOX.c.channel == "email").order_by(_OUTBOX.c.id)
    update = sa.update(_OUTBOX).where(_OUTBOX.c.id == sa.bindparam("number")).values({"values": sa.bindparam("new")})
    while found := connection.execute(query.where(_OUTBOX.c.id > last).limit(AT_ONCE)).all():
        last = found[-1].id
        changed = [{"number": number, "new": _with_words(values)} for number, values in found if values.get("calendar")]
        if changed:
            connection.execute(update, changed)


def _with_words(values: dict[str, Any]) -> dict[str, Any]:
    visits = values.get("visits") or [values["visit"]]
    for visit, told in zip(visits, values["calendar"]["events"], strict=False):
        summary = f"{visit['visit_type'] or 'Visit'}: {visit['doctor']}"
        told["event"]["summary"] = f"{summary}, for {visit['whose']}" if visit["whose"] else summary
        told["event"]["description"] = "\n".join(_description(visit["reference"], values["clinic"], told["event"]))
    return values


def _description(reference: str, clinic: dict[str, Any], event: dict[str, Any]) -> Iterator[str]:
    yield clinic["name"]
    yield f"Reference: {reference}"
    if clinic["phone"]:
        yield f"Telephone: {clinic['phone']}"
    yield f"The visit: {event['url']}"
