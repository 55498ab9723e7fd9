"""Log and snapshots on SQLite with a marker beside them, stores that forget, a look into files."""
