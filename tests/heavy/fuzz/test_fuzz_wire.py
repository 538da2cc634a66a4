"""Whatever bytes come back on a connection, over either transport: a result or a `KlingError`."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from fuzzing import TOKEN, bodies, damaged, examples
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz_answers import GOOD, check, outcome

from kling_async import AsyncKlingClient, RetryPolicy
from kling_async.models.operations import operations

CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda content: b"\x0b\x02\x80" + content,
    "zstd": lambda content: b"\x28\xb5\x2f\xfd" + content,
    "identity": bytes,
    "gzip, gzip": lambda content: gzip.compress(gzip.compress(content)),
    "bogus": bytes,
}
LINES = st.sampled_from(
    ["Content-Type: application/json; charset=utf-16", "Content-Type: text/html; charset=nonsense",
     "Content-Type: ", "Content-Type: application/json; charset=\xff", "X: " + "y" * 70_000,
     "X: " + "y" * 9_000, "Set-Cookie: a=b; Expires=never", "Set-Cookie: \x01=\x02; Max-Age=x",
     "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", "Connection: upgrade",
     "Content-Length: -1", "Content-Length: 5, 6", "Content-Length: 99999999999999999999",
     "Content-Length: 0", "Retry-After: x", f"Authorization: Bearer {TOKEN}", " folded", ": empty",
     "no colon", "Location: http://[::bad/", "Location: //evil", "Trailer: x", "X\x00: y",
     "Keep-Alive: timeout=-1", "Content-Encoding: gzip", "Date: never"]
)  # fmt: skip
FIRST_LINES = st.sampled_from([
    *["HTTP/1.1 200 OK"] * 6, "HTTP/1.1 201 Created", "HTTP/1.0 200 OK", "HTTP/1.1 404 No",
    "HTTP/1.1 500 Oops", "HTTP/1.1 301 Moved", "HTTP/1.1 204 Empty", "HTTP/1.1 304 Same",
    "HTTP/1.1 999 X", "HTTP/1.1 100 Continue", "HTTP/1.1 101 Switching", "HTTP/2 200", "ICY 200",
    "HTTP/1.1 20", "", "HTTP/1.1 200 " + "x" * 9000, "HTTP/1.1 200 \xff\xfe", "HTTP/1.1 000 X",
    "GET / HTTP/1", f"HTTP/1.1 401 {TOKEN}", "HTTP/1.1 429 Busy", "HTTP/1.1 596 Gone",
])  # fmt: skip


@st.composite
def replies(draw: st.DrawFn, good: Any) -> bytes:
    """All bytes of an answer, as no sound server would write them."""
    content = draw(bodies(good))
    lines = draw(st.lists(LINES, max_size=3))
    if draw(st.booleans()):
        coding = draw(st.sampled_from(sorted(CODINGS)))
        content = CODINGS[coding](content)
        lines.append(f"Content-Encoding: {coding}")
        if draw(st.booleans()):
            content = damaged(content, draw(st.integers(0, 2**32)))
    frame = draw(st.integers(0, 3))
    if frame == 0:
        lines.append("Transfer-Encoding: chunked")
        size = draw(st.sampled_from([f"{len(content):x}", "ffffffffffffffffff", "-5", "zz", "0"]))
        content = size.encode() + b"\r\n" + content + b"\r\n0\r\n\r\n"
    elif frame == 1:
        lines.append(f"Content-Length: {len(content) + draw(st.sampled_from([0, 0, 0, 7, -1]))}")
    head = "\r\n".join([draw(FIRST_LINES), *lines]).encode("latin-1")
    whole = head + b"\r\n\r\n" + content
    return damaged(whole, draw(st.integers(0, 2**32))) if draw(st.integers(0, 4)) == 0 else whole


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@given(data=st.data())
@examples(2)
def test_any_bytes_on_the_wire(transport: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(operations())))
    reply = data.draw(replies(GOOD[operation]))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line[15:]))
            writer.write(reply)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away, as it may
        finally:
            writer.close()

    async def tried() -> Any:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        options: dict[str, Any] = {
            "base_url": f"http://127.0.0.1:{port}/v1/kling",
            "transport": transport,
            "rate_limit": None,
            "timeout": 1.0,  # what looks unfinished is waited for so long
            "retry": RetryPolicy(attempts=1, reconcile_within_s=0),
        }
        try:
            async with AsyncKlingClient(TOKEN, **options) as kling:
                return await outcome(kling, operation)
        finally:
            server.close()  # `async with server` would wait for its connections

    check(asyncio.run(tried()))
