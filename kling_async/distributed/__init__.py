"""How do several machines share a ledger? Workers, one rate for all, and a server for trials."""
