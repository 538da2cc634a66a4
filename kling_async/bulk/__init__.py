"""How are many paid requests carried out, each once? Rows of steps, a ledger, one state machine."""
