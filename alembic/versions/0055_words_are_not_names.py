"""Two English names become empty: those of clinics without a name, and of records whose data was deleted.

Their words are now found when a page is shown, in the language of its reader.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"

CLINIC = "Our clinic"
PATIENT, PATIENT_SORTED = "Deleted patient", "patient  deleted"

_clinic = sa.table("clinic_settings", sa.column("name"))
_patients = sa.table("patients", sa.column("name"), sa.column("sort_name"), sa.column("erased_at"))


def upgrade() -> None:
    op.execute(sa.update(_clinic).where(_clinic.c.name == CLINIC).values(name=""))
    op.execute(sa.update(_patients).where(_patients.c.erased_at.is_not(None)).values(name="", sort_name=""))


def downgrade() -> None:
    op.execute(sa.update(_clinic).where(_clinic.c.name == "").values(name=CLINIC))
    op.execute(
        sa.update(_patients).where(_patients.c.erased_at.is_not(None)).values(name=PATIENT, sort_name=PATIENT_SORTED)
    )
