"""What Alembic runs: the steps, in the transaction of the connection that it is given, which stays open."""

from alembic import context

from processor.results.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
