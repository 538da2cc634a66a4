"""How do you test your own code that uses this library? Fixtures, for your top `conftest.py`:

    pytest_plugins = ["kling_async.pytest_plugin"]

Then `async def test_mine(kling_client, kling_emulator): ...`. Nothing is loaded where it is not
asked for, and any plugin for async tests will do. Needs the extra `emulator`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from .client import AsyncKlingClient
from .emulator import Emulator

START_WITHIN_S = 10.0


@pytest.fixture
def kling_emulator_options() -> dict[str, Any]:
    """Arguments of the `Emulator`; override it: accounts, faults, quota, job_s, ..."""
    return {}


@pytest.fixture
def kling_client_options() -> dict[str, Any]:
    """Arguments of the `AsyncKlingClient`; override it: retry, deadline_s, rate_limit, ..."""
    return {}


@pytest.fixture
def kling_emulator(kling_emulator_options: dict[str, Any]) -> Emulator:
    """A fresh Kling for each test: look into `.avatars`, `.tasks` and `.calls`, add faults."""
    return Emulator(**kling_emulator_options)


@pytest.fixture
def kling_client(
    kling_emulator: Emulator, kling_client_options: dict[str, Any]
) -> AsyncKlingClient:
    """A client on `kling_emulator`, in process and without a rate limit; it opens at first use."""
    # Not an async fixture, so that it needs no plugin of its own; in process there is nothing that
    # would have to be closed.
    options = {
        "accounts": [one.email for one in kling_emulator.accounts],
        "transport": kling_emulator.transport(),
        "rate_limit": None,
    }
    return AsyncKlingClient(**{**options, **kling_client_options})


@pytest.fixture
def kling_emulator_url(kling_emulator: Emulator) -> Iterator[str]:
    """`kling_emulator` on a real socket, as KLING_BASE_URL takes it; for code in other processes.

    Served from a thread of its own, so that tests which are not async can use it, too.
    """
    loop = asyncio.new_event_loop()
    ready, end, urls = threading.Event(), asyncio.Event(), list[str]()

    async def serve() -> None:
        async with kling_emulator.serve() as base_url:
            urls.append(base_url)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    if not ready.wait(START_WITHIN_S):
        raise RuntimeError("the emulator did not start")
    yield urls[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(START_WITHIN_S)
    loop.close()
