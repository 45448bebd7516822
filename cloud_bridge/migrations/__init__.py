"""PostgreSQL's tables and how they came to be: an Alembic script directory. SQLite's stand in `storage/schema.py`."""
