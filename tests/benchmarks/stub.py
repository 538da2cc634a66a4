"""A server that costs as little as possible, in a process of its own, on a core of its own.

    python tests/benchmarks/stub.py            prints its port; ends when its standard input does

It reads whole HTTP/1.1 requests and answers each at once, or after the milliseconds that the path
begins with (`/150/avatars`). What it says is by the path's last word, in the words of each API.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

HERE = Path(__file__).parent
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
AVATAR = b'{"id":"%d","status":"SUCCESS"}'
FIRST_ID = 300_000_000_000_000
ANSWERS = {
    b"moderations": b'{"id":"modr-1","model":"omni-moderation-latest","results":[]}',
    b"count_tokens": b'{"input_tokens":14}',
}


def whole(body: bytes) -> bytes:
    """An answer with this body."""
    return HEAD % len(body) + body


REPLIES = {word: whole(body) for word, body in ANSWERS.items()}
NOTHING = whole(b"[]")
MADE = whole(AVATAR % FIRST_ID).replace(b"%d" % FIRST_ID, b"%d")  # all ids are of one length
made = count(FIRST_ID)


class Connection(asyncio.Protocol):
    """One client's connection; requests come one after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end]
            at = head.lower().find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._rest) < end + 4 + size:
                return
            self._rest = self._rest[end + 4 + size :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        words = head.split(b" ", 2)[1].partition(b"?")[0].split(b"/")
        if head.startswith(b"GET"):
            reply = NOTHING  # what lists is empty
        elif (found := REPLIES.get(words[-1])) is not None:
            reply = found
        else:
            reply = MADE % next(made)
        if words[1].isdigit():
            loop = asyncio.get_running_loop()
            loop.call_later(int(words[1]) / 1000, self._transport.write, reply)
        else:
            self._transport.write(reply)


def pin(core: int) -> None:
    """Run on this core only, where the system can do that and has more than one."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, {cores[core % len(cores)]})


@contextmanager
def serving() -> Iterator[str]:
    """A stub server in another process; its address, without a path."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    pin(1)
    asyncio.run(main())
