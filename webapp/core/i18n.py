"""The words of the pages, marked for translation from the start; English only for now.

Python's own gettext() looks for catalogues on the disk at every call, so the catalogue is held here.
"""

from __future__ import annotations

from gettext import NullTranslations

TRANSLATIONS = NullTranslations()

gettext = TRANSLATIONS.gettext
ngettext = TRANSLATIONS.ngettext
