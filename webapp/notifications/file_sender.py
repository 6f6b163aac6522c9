"""Stores messages as files if no server is configured: one file per message, readable by its owner only."""

from __future__ import annotations

import os
from pathlib import Path

from webapp.core.clock import utc_now
from webapp.notifications.exceptions import ServerUnavailable
from webapp.notifications.mail import compose
from webapp.notifications.rendering import Rendered

FOLDER = Path("var/messages")


class FileSender:
    """Stores e-mails as .eml files, which mail programs open, and text messages as .txt files."""

    outcome = "kept"

    def __init__(self, folder: Path, mail_from: str) -> None:
        self.folder = folder
        self.mail_from = mail_from

    def send(self, recipient: str, message_id: str, message: Rendered) -> None:
        """Store one message. A file is written completely or not at all, and the same message has the same file.

        Raises:
            ServerUnavailable: the files cannot be written.
        """
        if message.html:
            mail = compose(recipient, message_id, message, mail_from=self.mail_from, now=utc_now())
            name, content = f"{message_id}.eml", mail.as_bytes()
        else:
            name, content = f"{message_id}.txt", f"{recipient}\n\n{message.text}\n".encode()
        draft = self.folder / f"{name}.draft"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            draft.replace(self.folder / name)
        except OSError as error:
            raise ServerUnavailable("no_file", error.strerror or str(error)) from error

    def close(self) -> None:
        """Nothing stays open between messages."""
