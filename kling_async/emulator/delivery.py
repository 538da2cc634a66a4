"""How do webhooks get to their receivers? By one follow-up for each task that asked for them.

A follow-up sleeps on the emulator's clock until a callback is due. It belongs to the server or the
transport through which the task was created, and ends with it. Nothing is sent twice but on
purpose, and nothing again: the vendor documents no retries.
"""

from __future__ import annotations

import inspect
import ipaddress
from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx
from attrs import evolve

from .calls import KEPT_BODY_BYTES
from .clock import EmulatorClock
from .messages import FollowUp
from .tasks import Task
from .webhooks import Moment, Webhook, Webhooks, content, moments
from .world import World

OnWebhook = Callable[[Webhook], Awaitable[int | None] | int | None]
"""Called in place of a request; may give the status a receiver would have answered with."""

_TIMEOUT_S = 10.0  # the vendor's is unknown
_AGENT = "kling-async-emulator"


class WebhookDelivery:
    """Sends webhooks and keeps a list of them.

    Args:
        clock: whose time they are due by.
        options: which, when and how wrong.
        keep: True keeps every record, False none, a number that many of the latest.
        on_webhook: gets them instead of their URLs.
    """

    def __init__(
        self,
        clock: EmulatorClock,
        options: Webhooks,
        keep: bool | int,
        on_webhook: OnWebhook | None = None,
    ) -> None:
        self.options = options
        self._clock = clock
        self._sent: deque[Webhook] = deque(maxlen=None if keep is True else int(keep))
        self._last_number = 0
        self._on_webhook = on_webhook
        self._round = 0

    @property
    def sent(self) -> list[Webhook]:
        """The records, oldest first."""
        return list(self._sent)

    def forget(self) -> None:
        """Start with an empty list, and send nothing of what was still to come."""
        self._round += 1
        self._sent.clear()
        self._last_number = 0

    def follow_up(self, task: Task, world: World) -> FollowUp | None:
        """What sends the webhooks of a task, None where it asked for none."""
        planned = moments(task, self.options)
        this_round = self._round
        return (lambda: self._run(task, planned, world, this_round)) if planned else None

    async def _run(self, task: Task, planned: list[Moment], world: World, this_round: int) -> None:
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=False, trust_env=False), timeout=_TIMEOUT_S
        ) as client:
            for moment in planned:
                await self._clock.sleep(moment.due_s - self._clock.monotonic())
                gone = task.forgotten or not task.is_there_at(moment.told_s)
                if gone or this_round != self._round:
                    return
                await self._send(task, moment.told_s, world, client)

    async def _send(
        self, task: Task, told_s: float, world: World, client: httpx.AsyncClient
    ) -> None:
        self._last_number += 1
        body = content(task, told_s, self.options, world)
        webhook = Webhook(
            number=self._last_number,
            task_id=task.id,
            account=task.account,
            url=task.reply_url or "",
            state=task.state_at(told_s),
            at_ms=self._clock.now_ms(),
            body=body,
            body_size_bytes=len(body),
            content_type=self.options.content_type,
        )
        try:
            status = await self._handed_over(webhook, client)
            webhook = evolve(webhook, status=status)
        except Exception as exc:  # whatever the receiver or a hook does, the next one comes
            webhook = evolve(webhook, error=str(exc) or type(exc).__name__)
        self._sent.append(evolve(webhook, body=body[:KEPT_BODY_BYTES]))

    async def _handed_over(self, webhook: Webhook, client: httpx.AsyncClient) -> int | None:
        if self._on_webhook is not None:
            given = self._on_webhook(webhook)
            return await given if inspect.isawaitable(given) else given
        if not (self.options.anywhere or _is_loopback(webhook.url)):
            raise ValueError("not sent: the receiver is not on loopback")
        headers = {"Content-Type": webhook.content_type, "User-Agent": _AGENT}
        async with client.stream(
            "POST", webhook.url, content=webhook.body, headers=headers
        ) as reply:
            return reply.status_code


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
