"""Why a backup cannot be made or restored."""

from __future__ import annotations

from webapp.exceptions import Conflict, Invalid


class UnusableBackup(Invalid):
    """The file is no backup of ours, or damaged, or of the other kind of database, or of a newer version."""


class DatabaseInUse(Conflict):
    """Docket serves from the database, or something else has it open."""


class DatabaseNotEmpty(Conflict):
    """The database has data, and the command does not allow replacing it."""


class CannotCopy(Conflict):
    """A program is missing, or the disk is full, or the database refuses."""
