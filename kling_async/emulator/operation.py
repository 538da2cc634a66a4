"""What is an operation, and what does it get to work with?

Each file in `operations/` declares a tuple of `Operation`s and the functions behind them. The
emulator has checked the token and chosen the account before it calls one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from attrs import frozen

from .clock import EmulatorClock
from .faults import Fault
from .fields import Fields
from .messages import Reply, Request
from .quota import RetryForm
from .views import Views, undated
from .world import World

API_ROOT = "/v1/kling"

EmailPlace = Literal["query", "body", "path", "new", "none"]
"""Where the account is named: query for GET and DELETE, body for POST, both documented.

`new` is the body too, for an account that need not be configured.
"""


@frozen
class Context:
    """One accepted request on its way through an operation.

    Args:
        fields: the body of a POST with fields, else the query.
        path: the decoded `{names}` of the route.
        account: e-mail of the chosen account; empty for operations that have none.
        call_number: the number of the request in `Emulator.calls`.
        job_s: least and longest time a job takes.
        result_bytes: least size of a result video.
        retry_form: how a 429 says when to come back.
        fault: what strikes the request; some kinds bend the work itself and not its answer.
    """

    world: World
    views: Views
    clock: EmulatorClock
    request: Request
    fields: Fields
    path: Mapping[str, str]
    account: str
    call_number: int
    job_s: tuple[float, float] = (2.0, 2.0)
    result_bytes: int = 0
    retry_form: RetryForm = "seconds"
    fault: Fault | None = None

    def struck_by(self, kind: str) -> Fault | None:
        """The fault of the request, if it is of that kind."""
        return self.fault if self.fault is not None and self.fault.kind == kind else None

    def upstream_ms(self) -> int:
        """Wall time on the clock that `createTime` comes from; `Date` comes from the edge's."""
        return self.clock.now_ms() + round(self.views.create_time_skew_s * 1000)

    def shown(self, answer: object) -> Reply:
        """What was found, as JSON, dated or not."""
        return Reply.of_json(undated(answer) if self.views.create_time_absent else answer)

    def is_empty_yet(self, listing: str, times: int) -> bool:
        """Whether this look at a listing is among the first ones, which find nothing."""
        looks = self.world.looks
        looks[listing, self.account] += 1
        return looks[listing, self.account] <= times


@frozen
class Operation:
    """One verb and route.

    Args:
        name: what faults and call records say, `avatars.create`.
        method: GET, POST or DELETE; GET answers HEAD as well.
        path: with `{name}` where a part of it is free.
        work: does it; raises Refusal to turn the request down.
        email: where the account is named.
        has_fields: False where the body is a file and not fields.
        secrets: fields that no call record may show; nor its body then.
        open_to_all: True where no token is asked for.
    """

    name: str
    method: str
    path: str
    work: Callable[[Context], Reply]
    email: EmailPlace = "none"
    has_fields: bool = True
    secrets: tuple[str, ...] = ()
    open_to_all: bool = False

    @property
    def reads_body_fields(self) -> bool:
        """Whether `fields` come from the body."""
        return self.method == "POST" and self.has_fields
