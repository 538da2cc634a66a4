"""The command `kling-async emulator` as others meet it: what it prints, and a plain request."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

BODY = json.dumps({"imageUrl": "https://example.com/a.png"}).encode()


def post(base_url: str, token: str) -> Any:
    request = urllib.request.Request(f"{base_url}/avatars", BODY, method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
        return json.load(reply)


def listening(process: Any) -> tuple[str, str]:
    """The base URL and the token that it prints, ready to be pasted into a shell."""
    first, second = process.stdout.readline(), process.stdout.readline()
    found = re.fullmatch(r"export KLING_BASE_URL=(\S+) USEAPI_TOKEN=(\S+)\n", second)
    assert found is not None, (first, second)
    assert first == f"listening on {found[1]}\n"
    return found[1], found[2]
