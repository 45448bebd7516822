"""One file a change, never edited after a release; `storage/postgres_schema.py` lists them in order."""
