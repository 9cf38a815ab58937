"""The watch list, and clips that are made on Twitch too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CLIP_COLUMNS = ("twitch_status", "twitch_url", "twitch_reason")


def upgrade() -> None:
    """Make the tables; clips from before were not made on Twitch."""
    op.create_table(
        "watched_channels",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("always", sa.Boolean(), nullable=False),
        sa.Column("native_clips", sa.Boolean(), nullable=False),
        sa.Column("added_at_s", sa.Double(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("told_at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_watched_channels_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_watched_channels")),
    )
    op.create_table(
        "native_clips",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("clip_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("start_at_s", sa.Double(), nullable=False),
        sa.Column("peak_at_s", sa.Double(), nullable=False),
        sa.Column("end_at_s", sa.Double(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("asked_at_s", sa.Double(), nullable=False),
        sa.Column("twitch_id", sa.String(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("worker_until_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_native_clips_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "clip_id", name=op.f("pk_native_clips")),
    )
    op.create_index(op.f("ix_native_clips_tenant_id_state"), "native_clips", ["tenant_id", "state"])
    for name in _CLIP_COLUMNS:
        op.add_column("clips", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the tables and columns, with all that is in them."""
    with op.batch_alter_table("clips") as clips:
        for name in _CLIP_COLUMNS:
            clips.drop_column(name)
    op.drop_table("native_clips")
    op.drop_table("watched_channels")
