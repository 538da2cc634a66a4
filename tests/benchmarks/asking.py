"""Asks a web server at an even pace, each request on a connection of its own.

python tests/benchmarks/asking.py PORT PER_S TOTAL    prints how many were answered with 200
"""

from __future__ import annotations

import asyncio
import sys
import time

import stub

REQUEST = (
    b"POST /avatars HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


async def one(port: int) -> bool:
    """Whether one request is answered with 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    status = await reader.readline()
    await reader.read()
    writer.close()
    return b" 200 " in status


async def main(port: int, per_s: float, total: int) -> None:
    asked = []
    began = time.perf_counter()
    for number in range(total):
        await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        asked.append(asyncio.create_task(one(port)))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    print(sum(one is True for one in answers))


if __name__ == "__main__":
    stub.pin(1)
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
