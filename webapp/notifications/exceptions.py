"""Why a message was not accepted. Each error has a code, which is stored with the message."""

from __future__ import annotations

from webapp.core.codes import CodedSentences, stored
from webapp.i18n import lazy_gettext as _l

# The sentences for admins about a message that was not accepted.
TROUBLES = CodedSentences(
    {
        "mail_address": _l(
            "The mail server can’t send to this address: there is a letter such as é before the @. "
            "Ask the patient for another address."
        ),
        "mail_answered": _l("The mail server answered: %(value)s"),
        "mail_domain": _l("This address does not exist. Check the part after the @."),
        "mail_away": _l("The mail server can’t be reached."),
        "mail_broken_off": _l("The mail server closed the connection."),
        "mail_late": _l("The mail server did not answer in time."),
        "mail_login": _l("The mail server refused to sign us in: %(value)s"),
        "mail_login_unsafe": _l("The mail server offers no encryption, or no secure way to sign in."),
        "mail_refused": _l("The mail server refused the connection."),
        "mail_unsafe": _l("The mail server’s certificate is not trusted, so the connection is not secure."),
        "not_written_out": _l("The message could not be created: %(value)s."),
        "old_news": _l("It could not be delivered before it was out of date."),
        "no_file": _l("It could not be saved as a file: %(value)s."),
        "sms_answered": _l("The text message gateway answered with status %(value)s."),
        "sms_away": _l("The text message gateway can’t be reached."),
        "sms_late": _l("The text message gateway did not answer in time."),
    }
)


class NotAccepted(Exception):
    """A message was not accepted. `why` is the code of the problem with its value, as it is stored."""

    def __init__(self, code: str, value: str = "") -> None:
        self.why = stored(code, value)
        super().__init__(self.why)

    def __str__(self) -> str:
        return TROUBLES.words(self.why)


class PermanentRefusal(NotAccepted):
    """This message will never be accepted at this address, so trying again is useless."""


class TemporaryRefusal(NotAccepted):
    """This message was not accepted now; it may be later."""


class ServerUnavailable(NotAccepted):
    """No message is accepted now: the server cannot be reached, or rejects our login."""
