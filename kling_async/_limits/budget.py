"""May this account retry once more? A budget that successes fill, so that retries fade while a
service is ill.

500 callers with five attempts each make 2,500 requests of an outage; with a shared budget, 500 and
a few. The first attempt is always free. Cf. botocore's retry quota and gRPC's retry throttling.
"""

from __future__ import annotations

from ..settings import RETRY_BUDGET, RETRY_COST


class RetryBudget:
    """The tokens of one account; full at first."""

    def __init__(self) -> None:
        self.tokens = RETRY_BUDGET

    def spend(self) -> bool:
        """Take the price of a retry; False where too little is left."""
        if self.tokens < RETRY_COST:
            return False
        self.tokens -= RETRY_COST
        return True

    def earn(self) -> None:
        """A request was answered well."""
        if self.tokens < RETRY_BUDGET:
            self.tokens += 1
