"""Row-level security: PostgreSQL's own fence between tenants, behind the one in every query.

Law: a table with rows of tenants is fenced by the migration that makes it. The role that the
service works as owns nothing, and the fence is forced on the owner too.
"""

from __future__ import annotations

from collections.abc import Iterable

APP_ROLE = "clipthat_app"
"""Whom transactions of the service run as; nobody logs in under this name."""
TENANT_SETTING = "clipthat.tenant"
"""Names the tenant of a transaction; where it is not set, no row is seen."""
POLICY = "tenant"


def role_statements() -> list[str]:
    """Return what makes the role and lets the login that migrates take it.

    Roles are the server's, not the database's: another database may have made it, even at this
    moment. The login needs CREATEROLE for that, or an administrator does it before.
    """
    return [
        f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
                CREATE ROLE {APP_ROLE} NOLOGIN;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END $$
        """,
        f"""
        DO $$ BEGIN
            IF NOT pg_has_role(
                current_user,
                '{APP_ROLE}',
                CASE WHEN current_setting('server_version_num')::int >= 160000
                    THEN 'SET' ELSE 'MEMBER' END
            ) THEN
                GRANT {APP_ROLE} TO CURRENT_USER;
            END IF;
            IF NOT has_schema_privilege('{APP_ROLE}', current_schema(), 'USAGE') THEN
                EXECUTE format('GRANT USAGE ON SCHEMA %I TO {APP_ROLE}', current_schema());
            END IF;
        END $$
        """,
    ]


def fence_statements(tables: Iterable[str], column: str = "tenant_id") -> list[str]:
    """Return what fences tables by the column that names a row's tenant.

    A later migration that must change rows of all tenants lifts the force for its transaction
    (`ALTER TABLE … NO FORCE ROW LEVEL SECURITY`).
    """
    mine = f"{column} = current_setting('{TENANT_SETTING}', true)"
    return [
        statement
        for table in tables
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY {POLICY} ON {table} USING ({mine}) WITH CHECK ({mine})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}",
        )
    ]


def open_statements(tables: Iterable[str]) -> list[str]:
    """Return what takes the fence away again."""
    return [
        statement
        for table in tables
        for statement in (
            f"REVOKE ALL ON {table} FROM {APP_ROLE}",
            f"DROP POLICY {POLICY} ON {table}",
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        )
    ]
