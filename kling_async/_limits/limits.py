"""When may the next request go? What a user can say about it: a rate, or an object of their own.

How a rate is kept is in `buckets.py`; who asks for it, and when, in `admission.py`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from attrs import Attribute, field, frozen
from attrs.validators import ge, le

_MOST = 1_000_000_000  # beyond it, rates are 0 or infinite


@runtime_checkable
class Limiter(Protocol):
    """Anything that can say when the next request may go.

    Replace ours with your own (one shared by several processes, say): hand it to
    `AsyncKlingClient(rate_limit=...)` or `AsyncKlingClient(client_rate_limit=...)`. One object
    then serves all accounts, and is asked by several callers at once; before a `RateLimit` that is
    given beside it, which so keeps its promise however long yours takes.

    Examples:
        >>> class OneAtATime:
        ...     def __init__(self) -> None:
        ...         self.lock = asyncio.Lock()
        ...     async def acquire(self, account: str | None) -> None:
        ...         async with self.lock:
        ...             await asyncio.sleep(1)
        >>> kling = AsyncKlingClient(rate_limit=OneAtATime())
    """

    async def acquire(self, account: str | None) -> None:
        """Return when one request for `account` may be sent; cancellation gives the place back."""


def _whole(limit: object, field: Attribute[int], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(
            f"'{field.name}' must be a whole number, not {value!r}: "
            f"RateLimit(5, per_s=2) are 2.5 requests a second"
        )


@frozen
class RateLimit:
    """At most `requests` in any window of `per_s` seconds, for each account.

    Args:
        requests: how many, 1 to a thousand million. About 98 % of them are used: the rest is what
            requests lose or win against each other on their way, so that the promise holds where
            they arrive.
        per_s: the window in seconds, a microsecond to a thousand million; default 1.
        burst: how many of them may go at once after a pause; default 1, which spaces all requests
            evenly. A burst of b is paid for by a slower pace, requests + 1 - b per window, because
            the promise holds for *every* window, the one that begins with the burst included.
        adaptive: find an unpublished quota while running. `requests` per `per_s` then is the upper
            bound, kept as ever; the rate begins at 10 a second (or the bound), grows while nothing
            is refused, and falls after a 429. `kling.stats` shows it. Default False.

    Examples:
        >>> kling = AsyncKlingClient(rate_limit=RateLimit(60, per_s=60))
    """

    requests: int = field(validator=[_whole, ge(1), le(_MOST)])
    per_s: float = field(default=1.0, validator=[ge(1e-6), le(_MOST)])
    burst: int = field(default=1, validator=[_whole, ge(1)])
    adaptive: bool = False

    def __attrs_post_init__(self) -> None:
        if 1 < self.burst >= self.requests:
            raise ValueError(
                f"burst={self.burst} leaves no room in {self.requests} requests per window: "
                f"a burst above 1 must be below requests"
            )
        if self.adaptive and self.burst > 1:
            raise ValueError("adaptive=True spaces requests evenly: leave burst at 1")
