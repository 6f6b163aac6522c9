"""The form of the filters of messages; it checks the shape only."""

from __future__ import annotations

from wtforms import SearchField, SelectChoice  # type: ignore[attr-defined]

from webapp.core.fields import SelectField, searched_name
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l
from webapp.notifications.queries import TROUBLE
from webapp.staff.messages.log import STATES, MessageSearch

CHANNELS = {"email": _l("Email"), "sms": _l("Text message")}


class MessageFilterForm(DocketForm):
    """Which messages to list; each filter may be left empty."""

    state = SelectField(
        _l("Status"),
        choices=[
            SelectChoice("", _l("Any")),
            SelectChoice(TROUBLE, _l("With problems")),
            *(SelectChoice(state, badge.text) for state, badge in STATES.items()),
        ],
        validate_choice=False,
    )
    channel = SelectField(
        _l("Sent as"),
        choices=[SelectChoice("", _l("Any")), *(SelectChoice(*each) for each in CHANNELS.items())],
        validate_choice=False,
    )
    to = SearchField(_l("Sent to"), filters=[searched_name])
    reference = SearchField(_l("Appointment reference"), filters=[searched_name])

    def search(self) -> MessageSearch:
        """The search; an unknown value of a choice matches every message."""
        return MessageSearch(
            state=self.state.data if self.state.data in {*STATES, TROUBLE} else "",
            channel=self.channel.data if self.channel.data in CHANNELS else "",
            recipient=self.to.data or "",
            reference=self.reference.data or "",
        )

    def filters_in_address(self) -> dict[str, str]:
        """The filters, as an address has them."""
        asked = self.search()
        return {"state": asked.state, "channel": asked.channel, "to": asked.recipient, "reference": asked.reference}
