"""One small row for each process, which is updated again and again."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base


class Heartbeat(Base):
    """The last time that a process wrote to the database, on the database's clock.

    `name` is the machine and the number of the process. The worker deletes rows of processes that ended a day ago.
    """

    __tablename__ = "heartbeats"
    __table_args__ = (sa.CheckConstraint("kind IN ('web', 'worker', 'check')", name="kind"),)

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    seen_at: Mapped[datetime]
