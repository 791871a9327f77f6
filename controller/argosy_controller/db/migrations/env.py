"""Alembic runs this; the connection, with its transaction, comes from argosy_controller.db.migrate."""

from alembic import context
from sqlmodel import SQLModel

import argosy_controller.db.tables  # noqa: F401  registers the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
