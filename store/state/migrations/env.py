"""How Alembic runs: always on the connection that `store/state/migrate.py` has locked."""

from alembic import context

from store.state.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
