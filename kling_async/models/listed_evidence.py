"""How is something looked for that is made at once, and listed? What avatars and elements share.

They are usually free and bear no mark, so likeness counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from .requests import Request
from .sightings import Sent, Sighting, addresses, own_addresses


class ListedEvidence:
    """The base; what is listed where, and what it shows, is its heirs'."""

    kind: ClassVar[str]
    likeness = True
    shown_again: ClassVar[tuple[str, ...]]
    """The fields of the create that a listing shows again."""

    def marked(self, request: Any) -> Any:
        """As it is: it bears no mark."""
        return request

    def own_of(self, request: Any, given: Any) -> frozenset[str]:
        """What was uploaded for the call."""
        return own_addresses(request, given)

    def sent(
        self,
        request: Any,
        *,
        account: str | None,
        own: Collection[str] = (),
        own_mark: bool = False,
        since_s: float | None = None,
        never_sent: bool = False,
    ) -> Sent:
        """The addresses, and what is shown again."""
        stated = {name: getattr(request, name) for name in self.shown_again}
        return Sent(
            kind=self.kind,
            account=account,
            paths=addresses(request),
            own=frozenset(own),
            stated={name: value for name, value in stated.items() if value is not None},
            since_s=since_s,
            likeness=True,
            never_sent=never_sent,
        )

    def listings(self, account: str | None) -> tuple[Request[Any], ...]:
        """Where it would show."""
        raise NotImplementedError

    def next_page(
        self, listing: Request[Any], listed: Sequence[Any], since_s: float
    ) -> Request[Any] | None:
        """There is no paging, unless an heir says so."""
        return None

    def sighting(self, thing: Any, account: str | None = None) -> Sighting:
        """What a listed thing shows of the create."""
        raise NotImplementedError

    def result(self, thing: Any) -> Any:
        """The answer that was lost, as far as the listing tells it."""
        raise NotImplementedError

    def refetch(self, thing: Any, account: str | None) -> Request[Any] | None:
        """The answer has no more than the listing."""
        return None

    def result_id(self, result: Any) -> str:
        """Its id."""
        return str(result.id)
