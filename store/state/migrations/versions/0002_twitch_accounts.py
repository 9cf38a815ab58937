"""Twitch accounts, and logins that are under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "twitch_accounts",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("access_sealed", sa.String(), nullable=False),
        sa.Column("refresh_sealed", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("expires_at_s", sa.Double(), nullable=False),
        sa.Column("validated_at_s", sa.Double(), nullable=False),
        sa.Column("connected_at_s", sa.Double(), nullable=False),
        sa.Column("refresher", sa.String(), nullable=False),
        sa.Column("refresher_until_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_twitch_accounts_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("pk_twitch_accounts")),
    )
    op.create_index(
        op.f("ix_twitch_accounts_tenant_id_login"), "twitch_accounts", ["tenant_id", "login"]
    )
    op.create_table(
        "twitch_logins",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("state_hash", sa.String(), nullable=False),
        sa.Column("browser_hash", sa.String(), nullable=False),
        sa.Column("verifier_sealed", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("redirect_url", sa.String(), nullable=False),
        sa.Column("expires_at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_twitch_logins_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "state_hash", name=op.f("pk_twitch_logins")),
    )


def downgrade() -> None:
    """Drop the tables, with all that is in them."""
    op.drop_table("twitch_logins")
    op.drop_table("twitch_accounts")
