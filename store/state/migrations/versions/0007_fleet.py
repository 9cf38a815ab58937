"""What people are told of workers: how many each holds, who leaves, since when work is whose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of what was there before, nothing of it is known."""
    op.add_column("leases", sa.Column("since_s", sa.Double(), nullable=True))
    op.add_column(
        "lease_workers", sa.Column("slots", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "lease_workers",
        sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Drop the columns, with what they know."""
    with op.batch_alter_table("lease_workers") as workers:
        workers.drop_column("draining")
        workers.drop_column("slots")
    with op.batch_alter_table("leases") as leases:
        leases.drop_column("since_s")
