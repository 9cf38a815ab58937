"""What a session has learned of how long its chat takes to answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; sessions from before know nothing of it."""
    op.add_column("sessions", sa.Column("reaction_s", sa.Double(), nullable=True))
    op.add_column("sessions", sa.Column("reaction_samples", sa.Integer(), nullable=True))
    op.add_column("sessions", sa.Column("reaction_at_s", sa.Double(), nullable=True))


def downgrade() -> None:
    """Drop the columns, with what they know."""
    with op.batch_alter_table("sessions") as sessions:
        for name in ("reaction_at_s", "reaction_samples", "reaction_s"):
            sessions.drop_column(name)
