"""Do other libraries' lines about our calls keep e-mails and secrets to themselves?"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from kling_async import WebhookReceiver
from kling_async.integrations.logs import LOGGERS, HideAddresses, hide_addresses


@pytest.fixture(autouse=True)
def unfiltered() -> Iterator[None]:
    yield
    for name in LOGGERS:
        logging.getLogger(name).filters.clear()


async def test_httpx_tells_no_email(open_client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpx")
    kling = await open_client(accounts=["demo@example.com"])
    await kling.avatars.list()
    assert "demo%40example.com" in caplog.text  # else nothing would have to be hidden
    caplog.clear()
    hide_addresses()
    hide_addresses()
    await kling.avatars.list()
    await kling.accounts.get("demo@example.com")
    lines = [one.getMessage() for one in caplog.records if one.name == "httpx"]
    assert len(lines) == 2
    assert all("example.com" not in one and "200 OK" in one for one in lines)
    assert "/avatars?email=(e-mail)" in lines[0]


def test_an_access_log_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.access")
    hide_addresses()
    path = WebhookReceiver().path
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "POST", path, "1.1", 204
    )
    record = caplog.records[-1]
    assert record.getMessage() == '1.2.3.4:5 - "POST /kling-webhook/(secret) HTTP/1.1" 204'
    assert isinstance(record.args, tuple)
    assert len(record.args) == 5  # uvicorn's formatter unpacks them


def test_other_records_pass_as_they_are() -> None:
    thing = object()
    record = logging.LogRecord("x", 20, "f", 1, "%s %d", (thing, 3), None)
    assert HideAddresses().filter(record)
    assert record.args == (thing, 3)
    record = logging.LogRecord("x", 20, "f", 1, "%(a)s", ({"a": 1},), None)
    assert HideAddresses().filter(record)
    assert record.getMessage() == "1"
