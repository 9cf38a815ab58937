"""Leases: which worker does which long piece of work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.state.fences import fence_statements

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and fence them."""
    op.create_table(
        "leases",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("work", sa.JSON(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queued_at_s", sa.Double(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("until_s", sa.Double(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_leases_tenants")),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "id", name=op.f("pk_leases")),
    )
    op.create_index(
        op.f("ix_leases_tenant_id_kind_state_priority_queued_at_s"),
        "leases",
        ["tenant_id", "kind", "state", "priority", "queued_at_s"],
    )
    op.create_table(
        "lease_workers",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("room", sa.Integer(), nullable=False),
        sa.Column("asked_at_s", sa.Double(), nullable=False),
        sa.Column("seen_at_s", sa.Double(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("question", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_lease_workers_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "name", name=op.f("pk_lease_workers")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for statement in fence_statements(("leases", "lease_workers")):
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables; who holds what is forgotten, and tokens begin anew."""
    op.drop_table("lease_workers")
    op.drop_table("leases")
