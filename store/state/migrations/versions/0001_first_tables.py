"""First tables: sessions with their timeline, moments, clips and renders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _create_sessions()
    _create_timeline()
    _create_moments()
    _create_clips()


def _create_sessions() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
    )
    op.create_table(
        "channels",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_channels_tenants")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_channels")),
    )
    op.create_table(
        "sessions",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("wall_start_s", sa.Double(), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=True),
        sa.Column("has_chat", sa.Boolean(), nullable=False),
        sa.Column("clips_max", sa.Integer(), nullable=True),
        sa.Column("started_at_s", sa.Double(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("media_s", sa.Double(), nullable=False),
        sa.Column("settled_s", sa.Double(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("clips_total", sa.Integer(), nullable=True),
        sa.Column("minutes_claimed", sa.Integer(), nullable=False),
        sa.Column("heard_at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "channel_id"],
            ["channels.tenant_id", "channels.id"],
            name=op.f("fk_sessions_channels"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_sessions")),
    )
    op.create_index(
        op.f("ix_sessions_tenant_id_started_at_s"), "sessions", ["tenant_id", "started_at_s"]
    )


def _create_timeline() -> None:
    op.create_table(
        "coverage",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("spans", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.id"],
            name=op.f("fk_coverage_sessions"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", "reason", name=op.f("pk_coverage")),
    )
    op.create_table(
        "curves",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.id"],
            name=op.f("fk_curves_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "name", "minute", name=op.f("pk_curves")
        ),
    )
    op.create_table(
        "troubles",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("media_s", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.id"],
            name=op.f("fk_troubles_sessions"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_troubles")),
    )
    op.create_index(
        op.f("ix_troubles_tenant_id_session_id"), "troubles", ["tenant_id", "session_id"]
    )


def _create_moments() -> None:
    op.create_table(
        "moments",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("start_s", sa.Double(), nullable=True),
        sa.Column("peak_s", sa.Double(), nullable=True),
        sa.Column("end_s", sa.Double(), nullable=True),
        sa.Column("decided_s", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("clip_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.id"],
            name=op.f("fk_moments_sessions"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_moments")),
    )
    op.create_index(op.f("ix_moments_tenant_id_session_id"), "moments", ["tenant_id", "session_id"])


def _create_clips() -> None:
    op.create_table(
        "clips",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("start_s", sa.Double(), nullable=True),
        sa.Column("peak_s", sa.Double(), nullable=True),
        sa.Column("end_s", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("moment_ids", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("source_key", sa.String(), nullable=True),
        sa.Column("in_s", sa.Double(), nullable=True),
        sa.Column("out_s", sa.Double(), nullable=True),
        sa.Column("gap_s", sa.Double(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fps", sa.Double(), nullable=False),
        sa.Column("has_audio", sa.Boolean(), nullable=False),
        sa.Column("words_key", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.id"],
            name=op.f("fk_clips_sessions"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_clips")),
    )
    op.create_index(op.f("ix_clips_tenant_id_session_id"), "clips", ["tenant_id", "session_id"])
    op.create_table(
        "renders",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("clip_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("layout", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("output_key", sa.String(), nullable=True),
        sa.Column("thumbnail_key", sa.String(), nullable=True),
        sa.Column("captions_key", sa.String(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("loudness_lufs", sa.Double(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "clip_id"], ["clips.tenant_id", "clips.id"], name=op.f("fk_renders_clips")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_renders")),
    )
    op.create_index(op.f("ix_renders_tenant_id_clip_id"), "renders", ["tenant_id", "clip_id"])
    op.create_index(op.f("ix_renders_tenant_id_session_id"), "renders", ["tenant_id", "session_id"])


def downgrade() -> None:
    """Drop the tables, with all that is in them."""
    for table in (
        "renders",
        "clips",
        "moments",
        "troubles",
        "curves",
        "coverage",
        "sessions",
        "channels",
        "tenants",
    ):
        op.drop_table(table)  # its indexes go with it
