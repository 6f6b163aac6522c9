"""Which doctors one member of staff wants to see on the board."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base


class BoardChoice(Base):
    """The columns that an account chose: all doctors of a specialty, or a list of doctors' slugs.

    There is a row as long as the account does not see all doctors.
    """

    __tablename__ = "board_choices"

    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    specialty: Mapped[str] = mapped_column(sa.String(100), server_default=sa.text("''"))
    doctors: Mapped[str] = mapped_column(sa.String(8000), server_default=sa.text("''"))
