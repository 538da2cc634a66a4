"""Many avatars: rows in, a ledger that survives any death, results out. See `runner.py` first."""
