"""Request and response types: frozen attrs values that do no I/O of their own."""
