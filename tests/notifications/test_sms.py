"""Sending text messages through a real HTTP gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest

from tests.servers import free_port
from tests.sms_gateway import Gateway, sms_gateway
from webapp.config import Settings
from webapp.notifications.exceptions import NotAccepted, PermanentRefusal, ServerUnavailable, TemporaryRefusal
from webapp.notifications.rendering import Rendered
from webapp.notifications.sms import SmsSender
from webapp.worker import sms_sender

# Nothing in a text may end its field or start another placeholder.
NASTY = 'See you at 9:30 & "bring" {id} <nothing>, O’Neill\\'
TEXT = Rendered("Harbour Lane Clinic", "", NASTY, "", "", "")


@contextmanager
def sender_for(gateway: Gateway, headers: dict[str, str], body: str) -> Iterator[SmsSender]:
    settings = Settings(sms_url=gateway.url, sms_headers=headers, sms_body=body)
    sender = sms_sender(settings)
    assert isinstance(sender, SmsSender)
    try:
        yield sender
    finally:
        sender.close()


def test_json_unless_the_headers_say_otherwise() -> None:
    body = '{"to": "{to}", "message": {"text": "{text}"}, "key": "{id}"}'
    with sms_gateway() as gateway, sender_for(gateway, {"Authorization": "Bearer 123"}, body) as sender:
        sender.send("+31 (0)20 123-4567", "abc", TEXT)
    (posted,) = gateway.posted
    assert json.loads(posted.body) == {"to": "+31201234567", "message": {"text": NASTY}, "key": "abc"}
    assert posted.headers["authorization"] == "Bearer 123"
    assert posted.headers["content-type"] == "application/json"


def test_forms_and_xml() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    with sms_gateway() as gateway:
        with sender_for(gateway, form, "To={to}&Body={text}") as sender:
            sender.send("+31201234567", "abc", TEXT)
        with sender_for(gateway, {"content-type": "text/xml"}, "<m><to>{to}</to><text>{text}</text></m>") as sender:
            sender.send("+31201234567", "abc", TEXT)
        with sender_for(gateway, {"content-type": "application/xml"}, "<m to='{to}' text='{text}'/>") as sender:
            sender.send("+31201234567", "abc", TEXT)
    assert parse_qs(gateway.posted[0].body) == {"To": ["+31201234567"], "Body": [NASTY]}
    assert [each.text for each in ElementTree.fromstring(gateway.posted[1].body)] == ["+31201234567", NASTY]  # noqa: S314
    assert ElementTree.fromstring(gateway.posted[2].body).attrib == {"to": "+31201234567", "text": NASTY}  # noqa: S314


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, PermanentRefusal),
        (422, PermanentRefusal),
        (500, TemporaryRefusal),
        (401, ServerUnavailable),
        (429, ServerUnavailable),
        (503, ServerUnavailable),
        (302, ServerUnavailable),
    ],
)
def test_the_meaning_of_the_answers(status: int, meaning: type[NotAccepted]) -> None:
    with sms_gateway(status) as gateway, sender_for(gateway, {}, "{to}{text}") as sender:
        with pytest.raises(meaning, match=f"status {status}") as refusal:
            sender.send("020 123 4567", "abc", TEXT)
        assert type(refusal.value) is meaning
        # Redirects are not followed with a patient's message.
        assert len(gateway.posted) == 1


def test_a_gateway_that_is_unreachable() -> None:
    gateway = Gateway([200])
    gateway.url = f"http://127.0.0.1:{free_port()}/"
    with sender_for(gateway, {}, "{to}{text}") as sender, pytest.raises(ServerUnavailable, match="can’t be reached"):
        sender.send("020 123 4567", "abc", TEXT)
