"""What came out of a job? One page in HTML that a person can look through, made of a ledger."""
