"""Stored sentences of ours: each is stored as a code with its value, so that readers get it in their own language.

'time_off' is a code without a value. A value follows a colon: 'time_off:Bob is on a course.', which a user typed, or
'mail_answered:550 No such user', which fills a place in the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping

from webapp.i18n import Sentence
from webapp.i18n import lazy_gettext as _l

# The code of a text that was stored before there were codes, and that no other code means.
NOTE = "note"


def stored(code: str, value: str = "") -> str:
    """A code and its value, as they are stored."""
    return f"{code}:{value}" if value else code


class CodedSentences:
    """The sentences of some codes. A value fills '%(value)s' in its sentence, or else follows the sentence."""

    def __init__(self, sentences: Mapping[str, Sentence]) -> None:
        self.sentences = sentences

    def __getitem__(self, code: str) -> Sentence:
        return self.sentences[code]

    def __contains__(self, code: str) -> bool:
        return code in self.sentences

    def words(self, text: str) -> str:
        """A stored text in the reader's language; '' stays '', and a text without a known code stays as it is."""
        code, _colon, value = text.partition(":")
        if code == NOTE:
            return value
        if code not in self.sentences:
            return text
        sentence = self.sentences[code]
        if "%(value)s" in sentence.message:
            return sentence % {"value": value}
        return f"{sentence} {value}" if value else str(sentence)


# Why the clinic keeps, moves or cancels an appointment: the codes are those of the rules.
REASONS = CodedSentences(
    {
        "doctor_inactive": _l("The doctor no longer takes bookings."),
        "visit_type_not_offered": _l("The doctor no longer offers this visit type."),
        "closure": _l("The clinic is closed on that day."),
        "clinic_closed": _l("The clinic is closed at that time."),
        "outside_working_hours": _l("The doctor is not working at that time."),
        "time_off": _l("The doctor is away."),
        "clock_changed": _l("The clinic’s time zone has changed."),
        "by_clinic": _l("The clinic cancelled it."),
        "patient_left": _l("The patient’s data was deleted on request."),
        # These two occur only in older flags and messages.
        "too_far_ahead": _l("It is further ahead than appointments can be booked."),
        "patient_gap": _l("It is too close to another appointment of the patient."),
    }
)
