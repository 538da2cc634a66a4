"""What was asked of the emulator? A record of each request, and exact counts of all.

Records may be limited for long runs; the counts never are. Tokens do not get this far.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping

from attrs import define, field

from .messages import Delivery, Request

MASK = "…secured…"
MASKED_TOKEN = f"Bearer {MASK}"
KEPT_BODY_BYTES = 64 * 1024


@define(kw_only=True)
class Call:
    """One request and what became of it.

    Args:
        number: 1 for the first request.
        operation: `avatars.create` and so on; `unknown` where no route fits.
        headers: lower-case names; Authorization masked.
        body: the first 64 KiB; nothing where it may hold a password.
        body_size_bytes: of all of it.
        fields: the parsed fields of a POST, None where there are none or they can't be parsed.
        account: the e-mail it counts for, None where none could be told.
        at_ms: wall time of arrival on the emulator's clock; `at_s` the same on `monotonic()`.
        status: of the reply that went out; None while under way, or when none went out.
        took_s: from arrival to the answer, on the emulator's clock; None while under way.
        worked: whether the operation was carried out with success, whatever was then sent.
        fault: the kind of fault that struck it, None for none.
    """

    number: int
    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    body_size_bytes: int
    fields: Mapping[str, object] | None
    account: str | None
    at_ms: int
    at_s: float
    status: int | None = None
    took_s: float | None = None
    worked: bool = False
    fault: str | None = None


OnCall = Callable[[Call], None]
"""Told of a call that is over; may not raise."""


class CallLog:
    """Numbers the calls and keeps them.

    Args:
        keep: True keeps every record, False none, a number that many of the latest.
        on_call: told of each call once it is known what will be sent.
    """

    def __init__(self, keep: bool | int, on_call: OnCall | None = None) -> None:
        limit = None if keep is True else int(keep)
        self._kept: deque[Call] = deque(maxlen=limit)
        self._on_call = on_call
        self._last_number = 0
        self.by_operation: Counter[str] = Counter()
        self.by_status: Counter[tuple[str, int | None]] = Counter()

    @property
    def kept(self) -> list[Call]:
        """The records, oldest first."""
        return list(self._kept)

    def open(
        self,
        request: Request,
        *,
        operation: str,
        fields: Mapping[str, object] | None,
        secrets: tuple[str, ...],
        account: str | None,
        at_ms: int,
        at_s: float,
        refused: bool = False,
    ) -> Call:
        """Number a request that has arrived; of one with `secrets` the body is not kept.

        A `refused` one never came to be a request: it is neither counted nor kept.
        """
        if not refused:
            self._last_number += 1
            self.by_operation[operation] += 1
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = MASKED_TOKEN
        if fields is not None and secrets:
            fields = {name: MASK if name in secrets else value for name, value in fields.items()}
        call = Call(
            number=0 if refused else self._last_number,
            operation=operation,
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers=headers,
            body=b"" if secrets else request.body[:KEPT_BODY_BYTES],
            body_size_bytes=len(request.body),
            fields=fields,
            account=account,
            at_ms=at_ms,
            at_s=at_s,
        )
        if not refused:
            self._kept.append(call)
        return call

    def close(self, call: Call, delivery: Delivery, *, worked: bool, now_s: float) -> None:
        """Note what becomes of it."""
        call.status = delivery.status
        call.took_s = now_s - call.at_s + delivery.wait_s
        call.worked = worked
        if call.number:
            self.by_status[call.operation, delivery.status] += 1
        if self._on_call is not None:
            self._on_call(call)
