"""Is a callback never more than a hint, whatever is in it and however often it comes?"""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import ConfigurationError, WebhookReceiver
from kling_async.webhooks import MOST_BYTES, _task_id_in


class FakeTasks:
    """Tasks that are waited for, or not; keep when each hint came."""

    def __init__(self, *waited_for: int) -> None:
        self.hints: list[tuple[int, float]] = []
        self._waited_for = waited_for

    def hint(self, task_id: int) -> bool:
        if task_id in self._waited_for:
            self.hints.append((task_id, asyncio.get_running_loop().time()))
        return task_id in self._waited_for


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


RECORD: dict[str, Any] = {
    "status": 99,
    "status_name": "succeed",
    "status_final": True,
    "task": {"id": 42, "userId": 7, "taskInfo": {"inputs": [], "arguments": []}},
    "works": [{"workId": 1, "taskId": 42, "userId": 7}],
    "replyRef": "mine",
}


@pytest.mark.parametrize(
    "value",
    [
        RECORD,
        {**RECORD, "task": {**RECORD["task"], "id": "42"}},
        {"id": 42, "created": 1, "status": "submitted", "status_final": False},
        {"works": [{"workId": 1, "taskId": 42}]},
        {"event": "done", "data": {"task": {"id": 42}}},
        {"id": "an event's id", "data": RECORD},
        [RECORD],
        {"task": {"id": "not a number"}, "works": [{"taskId": 42}]},
    ],
)
def test_the_task_is_found(value: Any) -> None:
    assert _task_id_in(body(value)) == 42


HARMLESS = [
    b"",
    b"{",
    b"null",
    b"42",
    b'"task"',
    b"[]",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"task":' * 30_000,
    b'{"task": {"id": ' + b"9" * 200_000 + b"}}",
    b'{"task": {"id": 123456789012345678901234567890}}',
    b'{"task": {"id": NaN}}',
    body({"task": {"id": True}}),
    body({"task": {"id": -5}}),
    body({"task": {"id": 4.2}}),
    body({"task": {"id": "٤٢"}}),
    body({"task": {"id": None}, "id": 42}),  # not the flat form: this id is another thing's
    body({"task": "42", "works": "none", "taskId": []}),
    body({"a": {"b": {"c": {"d": {"e": RECORD}}}}}),
    b" " * (MOST_BYTES + 1) + body(RECORD),
]


@pytest.mark.parametrize("content", HARMLESS, ids=lambda one: repr(one[:30]))
async def test_what_is_broken_or_huge_does_nothing(content: bytes) -> None:
    tasks = FakeTasks(42, 9, 1, -5, 4)
    assert WebhookReceiver().receive(content, tasks).outcome == "not_understood"
    assert tasks.hints == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["task", "id", "taskId", "works", "x"]), inner)
    ),
)


@given(json_values.map(json.dumps).map(str.encode) | st.binary(max_size=200))
def test_no_body_raises_or_gives_anything_but_an_id(content: bytes) -> None:
    found = _task_id_in(content)
    assert found is None or (type(found) is int and 0 < found < 10**19)


async def test_an_unknown_task_costs_nothing() -> None:
    receiver, tasks = WebhookReceiver(), FakeTasks()
    for task_id in range(1, 2000):
        received = receiver.receive(body({"task": {"id": task_id}}), tasks)
        assert (received.outcome, received.task_id) == ("nobody_waits", task_id)
    assert receiver._read_at_s == {}


@pytest.mark.looptime
async def test_a_storm_of_callbacks_is_one_reading_a_second_and_the_last_one_counts() -> None:
    receiver, tasks = WebhookReceiver(), FakeTasks(42, 43)
    outcomes = []
    for number in range(100):
        outcomes.append(receiver.receive(body(RECORD), tasks).outcome)
        if number == 50:
            assert receiver.receive(body({"task": {"id": 43}}), tasks).outcome == "read_again"
        await asyncio.sleep(0.05)
    last_came_s = asyncio.get_running_loop().time() - 0.05
    await asyncio.sleep(2)
    mine = [at_s for task_id, at_s in tasks.hints if task_id == 42]
    assert outcomes[0] == "read_again"
    assert len(mine) <= 7
    assert all(later - earlier > 0.99 for earlier, later in pairwise(mine))
    assert mine[-1] >= last_came_s  # only the last one may tell the end
    assert receiver.receive(body({"task": {"id": 44}}), tasks).outcome == "nobody_waits"
    assert receiver._read_at_s == {}


def test_the_address_is_unguessable_and_not_shown() -> None:
    receiver, other = WebhookReceiver(), WebhookReceiver()
    secret = receiver.path.removeprefix("/kling-webhook/")
    assert len(secret) == 32
    assert receiver.path != other.path
    assert secret not in repr(receiver) + str(receiver)
    assert receiver.knows(secret)
    for wrong in ("", secret[:-1], secret + "x", secret.swapcase(), "ä", "\ud800"):
        assert not receiver.knows(wrong)


def test_a_secret_of_ones_own() -> None:
    receiver = WebhookReceiver(secret="a" * 16, prefix="/hooks/kling")
    assert receiver.url("https://my.host/api/") == "https://my.host/api/hooks/kling/" + "a" * 16
    for secret in ("short", "a" * 129, "b" * 16 + "/", "b" * 16 + "ä", "b" * 16 + "\n"):
        with pytest.raises(ConfigurationError) as caught:
            WebhookReceiver(secret=secret)
        assert secret not in str(caught.value)
    for prefix in ("", "/", "hooks", "/hooks/", "/{x}", "/a b"):
        with pytest.raises(ConfigurationError):
            WebhookReceiver(prefix=prefix)


def test_the_address_is_public_and_encrypted() -> None:
    receiver = WebhookReceiver()
    assert receiver.url("http://127.0.0.1:8000").startswith("http://127.0.0.1:8000/kling-webhook/")
    for base in ("http://my.host", "my.host", "ftp://my.host", "https://", "https://a:b@my.host",
                 "https://my.host/?x=1"):  # fmt: skip
        with pytest.raises(ConfigurationError):
            receiver.url(base)
