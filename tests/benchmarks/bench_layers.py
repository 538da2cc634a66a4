"""How much CPU do our layers take above `client.send` of a prepared request?

    python tests/benchmarks/bench_layers.py            some seconds
    python tests/benchmarks/bench_layers.py --small    less

In process, against a transport that answers at once: what is left is Python. The request that
`client.send` gets beside ours is made beforehand, so building one counts as ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from statistics import median

import httpx
import stub
from load import in_turns
from peers import FIELDS, IMAGE, TOKEN
from table import Options, Row, at_most, run

from kling_async import AsyncKlingClient

BASE = "http://127.0.0.1/v1/kling"
BODY = stub.AVATAR % stub.FIRST_ID
HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"Content-Length", str(len(BODY)).encode()),
    (b"Date", b"Tue, 14 Jul 2026 12:00:00 GMT"),
]


class AtOnce(httpx.AsyncBaseTransport):
    """Has the answer ready."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=HEADERS, content=BODY)


async def layers(in_flight: int, seconds: float, rounds: int) -> tuple[float, float]:
    """Microseconds of CPU per call: bare `client.send`, and what `avatars.create` takes above."""
    async with (
        httpx.AsyncClient(transport=AtOnce()) as client,
        AsyncKlingClient(TOKEN, base_url=BASE, rate_limit=None, http_client=client) as kling,
    ):
        headers = {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}
        request = client.build_request("POST", f"{BASE}/avatars", json=FIELDS, headers=headers)
        acts = {
            "send": lambda: client.send(request, follow_redirects=False),
            "create": lambda: kling.avatars.create(image_url=IMAGE, nickname="Ada"),
        }
        paces = await in_turns(acts, in_flight=in_flight, seconds=seconds, rounds=rounds)
    pairs = list(zip(paces["send"], paces["create"], strict=True))
    above = median(create.cpu_us - send.cpu_us for send, create in pairs)
    return median(send.cpu_us for send, _ in pairs), above


def measure(options: Options) -> Iterator[Row]:
    """Two rows."""
    stub.pin(0)
    seconds, rounds = (0.05, 3) if options.small else (0.3, 15)
    what = "our layers above `client.send` of a prepared request"
    send, above = asyncio.run(layers(100, seconds, rounds))
    yield at_most(f"{what}, 100 in flight", 40, above, "us", f"`client.send` itself {send:.0f}")
    send, above = asyncio.run(layers(1, seconds, rounds))
    yield Row(
        f"{what}, 1 in flight",
        "",
        f"{above:.1f} us, two more steps of the event loop among them",
    )


if __name__ == "__main__":
    run(measure, __doc__)
