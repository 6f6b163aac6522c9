"""The texts that users type into forms: an error page shows them again, because users could not type them again from
memory.
"""

from __future__ import annotations

from webapp.core.text import PASSWORDS
from webapp.i18n import gettext as _

# The fields of all forms in which users type.
names: set[str] = set()


class TypedTexts:
    """The texts that users type into one form: `labels` are those of its fields, by name. The form adds them when it
    reads the fields.
    """

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields
        self.labels: dict[str, str] = {}

    def labelled(self) -> list[tuple[str, str]]:
        """The labels and the texts, without passwords and other proofs."""
        # No form has read the fields if the error came before, such as the end of the session.
        labels = self.labels or dict.fromkeys(names, _("Your text"))
        return [
            (labels[name], text)
            for name, text in self._fields
            if name in labels and name not in PASSWORDS and text.strip()
        ]
