"""What is a callback worth? A hint: somebody who knew the address says that a task moved on.

Callbacks are not signed, come never, twice or out of order, and nobody promises what is in them. So
nothing in one is believed: `WebhookReceiver` finds a task's id in it and has that task read again
from the API, where somebody waits for it. The frameworks' side is in `integrations/`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from attrs import frozen

from .errors import JSON, ConfigurationError
from .settings import is_loopback

MOST_BYTES = 256 * 1024  # a task record is a few KB; its texts, repeated per work, some tens
DEEPEST = 4  # objects and arrays inside each other, searched for the id
MOST_LOOKED_AT = 200  # of them on each level

Outcome = Literal["read_again", "soon", "nobody_waits", "not_understood"]


class Hints(Protocol):
    """What reads a task again; `kling.tasks` is one."""

    def hint(self, task_id: int) -> bool:
        """Read it soon. False where nobody waits for it, and nothing is done."""
        ...


@frozen
class Received:
    """What a callback came to.

    `outcome` is "read_again" (somebody waits for the task, and it is read now), "soon" (it was read
    a moment ago, and is read again when that moment is over), "nobody_waits", or "not_understood"
    (too large, not JSON, or no task's id in it).
    """

    outcome: Outcome
    task_id: int | None = None


class WebhookReceiver:
    """Takes the callbacks of useapi.net: an address nobody can guess, and what comes to it.

        receiver = WebhookReceiver()
        task = await kling.avatars.video(..., reply_url=receiver.url("https://my.host"))
        done = await kling.tasks.wait(task)     # wakes at the callback, else polls

    Make one per program, before the client is there. `integrations.fastapi.webhook_router` and
    `integrations.aiohttp.webhook_route` serve it.

    Args:
        secret: the last part of the path, 16 to 128 letters, digits, `-` and `_`; default: made
            anew. Give the same one to several processes behind one address, and keep it where
            callbacks shall still arrive after a restart.
        prefix: the path before it; default "/kling-webhook".
        again_after_s: seconds between two readings of one task, however many callbacks come for it;
            default 1.

    Raises:
        ConfigurationError: secret or prefix can't be used.

    Examples:
        >>> receiver = WebhookReceiver(secret="a-long-secret-of-yours")
        >>> address = receiver.url("https://example.com")
        >>> task = await kling.videos.text2video(prompt="A kite", reply_url=address)
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        prefix: str = "/kling-webhook",
        again_after_s: float = 1.0,
    ) -> None:
        if secret is None:
            secret = secrets.token_urlsafe(24)  # short: an address too long is refused
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", secret):
            raise ConfigurationError(
                "a webhook's secret must be 16 to 128 letters, digits, - and _; "
                "secrets.token_urlsafe(24) makes one"
            )
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
            raise ConfigurationError(
                f"prefix={prefix!r}: it must begin with / and not end with it, as in /callbacks"
            )
        self.prefix = prefix
        """The path up to the secret, for routes."""
        self._secret = secret
        self._again_after_s = again_after_s
        self._read_at_s: dict[int, float] = {}
        """Task id -> when it was last read for a callback, or will be."""

    def __repr__(self) -> str:
        return f"WebhookReceiver({self.prefix}/...)"

    @property
    def path(self) -> str:
        """The path that callbacks come to. It holds the secret: keep it out of logs."""
        return f"{self.prefix}/{self._secret}"

    def url(self, public_base_url: str) -> str:
        """What to give as `reply_url`.

        Args:
            public_base_url: how useapi.net reaches this program, with the path of a proxy or mount
                if there is one: `https://my.host/api`. `http://` for this machine only, since the
                path is a secret.

        Examples:
            >>> WebhookReceiver(secret="a-long-secret-of-yours").url("https://example.com")
            'https://example.com/kling-webhook/a-long-secret-of-yours'
        """
        base = public_base_url.rstrip("/")
        parts = urlsplit(base)
        private = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not parts.hostname or not (parts.scheme == "https" or private):
            raise ConfigurationError(f"{public_base_url!r} must be an https:// address")
        if parts.query or parts.fragment or parts.username is not None:
            raise ConfigurationError("a public address holds no user, password, query or fragment")
        return base + self.path

    def knows(self, secret: str) -> bool:
        """Whether `secret` is the right one; takes equally long for any wrong one.

        Examples:
            >>> WebhookReceiver().knows("a guess")
            False
        """
        return hmac.compare_digest(secret.encode("utf-8", "replace"), self._secret.encode())

    def receive(self, body: bytes, tasks: Hints) -> Received:
        """What to do with a callback; never raises for what is in it. Call it on the event loop.

        Args:
            body: as it came; what is longer than `MOST_BYTES` is not looked at.
            tasks: `kling.tasks`, whose waiters are told.

        Examples:
            >>> WebhookReceiver().receive(b'{"task": {"id": 4711}}', kling.tasks).outcome
            'nobody_waits'
        """
        task_id = _task_id_in(body)
        if task_id is None:
            return Received("not_understood")
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._forget(until_s=now_s - self._again_after_s)
        read_at_s = self._read_at_s.get(task_id)
        if read_at_s is None:
            if not tasks.hint(task_id):
                return Received("nobody_waits", task_id)
            self._read_at_s[task_id] = now_s
            return Received("read_again", task_id)
        if read_at_s <= now_s:
            # Put off, not dropped: it may be the last callback, and the only one to tell the end.
            self._read_at_s[task_id] = read_at_s + self._again_after_s
            loop.call_at(read_at_s + self._again_after_s, tasks.hint, task_id)
        return Received("soon", task_id)

    def _forget(self, *, until_s: float) -> None:
        # As many entries as tasks somebody waits for that were called for within a second.
        for task_id in [one for one, at_s in self._read_at_s.items() if at_s <= until_s]:
            del self._read_at_s[task_id]


def _task_id_in(body: bytes) -> int | None:
    """The id of the task that a callback speaks of; None where there is none to be found."""
    if len(body) > MOST_BYTES:
        return None
    try:
        found = json.loads(body, parse_int=_short)
    except (ValueError, RecursionError):  # ValueError: also what is not UTF-8
        return None
    if isinstance(found, dict) and "task" not in found:
        task_id = _id(found.get("id"))  # the flat form of April 2025
        if task_id is not None:
            return task_id
    for one in _objects(found):
        task = one.get("task")
        for given in (task.get("id") if isinstance(task, dict) else None, one.get("taskId")):
            if (task_id := _id(given)) is not None:
                return task_id
    return None


def _objects(found: JSON) -> Iterator[Mapping[str, JSON]]:
    """The objects in it, outer ones first, as far as is worth looking."""
    level: list[Any] = [found] if isinstance(found, (dict, list)) else []
    for _ in range(DEEPEST):
        yield from (one for one in level if isinstance(one, dict))
        members = (one.values() if isinstance(one, dict) else one for one in level)
        inside = (one for some in members for one in some if isinstance(one, (dict, list)))
        level = list(islice(inside, MOST_LOOKED_AT))


def _short(digits: str) -> int | None:
    # No id has more digits; reading a number of 200,000 takes seconds on early Pythons.
    return int(digits) if len(digits) <= 19 else None


def _id(given: object) -> int | None:
    if isinstance(given, str) and given.isascii() and given.isdigit():
        given = _short(given)
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    return None
