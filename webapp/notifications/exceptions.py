"""What can become of a message that was not taken. Each says why, in a sentence for the clinic's admins."""

from __future__ import annotations


class Undelivered(Exception):
    """A message was not taken."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NeverTaken(Undelivered):
    """This message is never taken at this address, so trying again is of no use."""


class NotTakenNow(Undelivered):
    """This message was not taken now; it may be later."""


class ServerAway(Undelivered):
    """No message is taken now: the server cannot be reached, or does not let us in."""
