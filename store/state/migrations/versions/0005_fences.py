"""PostgreSQL's fence between tenants; nothing on SQLite, where a file has one tenant."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

from store.state.fences import fence_statements, open_statements, role_statements

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = (
    "channels",
    "sessions",
    "coverage",
    "curves",
    "troubles",
    "moments",
    "clips",
    "renders",
    "twitch_accounts",
    "twitch_logins",
    "watched_channels",
    "native_clips",
)


def upgrade() -> None:
    """Make the role and fence every table."""
    _on_postgres(role_statements())
    _on_postgres(fence_statements(["tenants"], column="id"))
    _on_postgres(fence_statements(_TABLES))


def downgrade() -> None:
    """Take the fences away; the role stays, for other databases of the server may need it."""
    _on_postgres(open_statements(["tenants", *_TABLES]))


def _on_postgres(statements: Sequence[str]) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in statements:
            op.execute(statement)
