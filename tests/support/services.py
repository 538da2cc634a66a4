"""The example services as processes of their own, and a client that may be rude to them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from kling_async.emulator import sample_png
from kling_async.emulator.voices import VOICES

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TOKEN = "user:4711-services"
SPEAKER = VOICES[0].speaker_id


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def until(condition: Callable[[], bool], within_s: float = 40) -> None:
    """Return when `condition` holds."""
    for _ in range(round(within_s / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not happen within {within_s} s")


class Service:
    """One example service; it can be ended and started again over the same folder."""

    def __init__(self, kind: str, folder: Path, base_url: str, *, told: bool = True) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60)
        self.output = b""
        self._script = EXAMPLES / f"{kind}_service.py"
        self._process: asyncio.subprocess.Process | None = None
        self._env = {
            **os.environ,
            "USEAPI_TOKEN": TOKEN,
            "KLING_BASE_URL": base_url,
            "FOLDER": str(folder),
            "PORT": str(self.port),
        }
        if told:
            self._env["PUBLIC_URL"] = self.url

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error::RuntimeWarning", str(self._script)),
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        for _ in range(400):
            assert self._process.returncode is None, await self._process.stdout.read()  # type: ignore[union-attr]
            try:
                await self.http.get("/jobs/none")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError("the service did not start")

    def listens(self) -> bool:
        """Whether it still takes connections."""
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0

    async def end(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code, once it is gone."""
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(sign)
        out, _ = await asyncio.wait_for(process.communicate(), 40)
        self.output += out
        self._process = None
        assert process.returncode is not None
        return process.returncode

    async def post(self, key: str, text: str = "Hello!") -> httpx.Response:
        return await self.http.post(
            "/jobs",
            headers={"Idempotency-Key": key},
            files={"portrait": ("ada.png", sample_png())},
            data={"text": text, "speaker_id": SPEAKER},
        )

    async def final(self, job_id: str, within_s: float = 60) -> dict[str, Any]:
        """The job when it is final."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        job: dict[str, Any] = {}
        while loop.time() < until:
            try:
                job = (await self.http.get(f"/jobs/{job_id}", params={"wait_s": 10})).json()
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if job["state"] in ("done", "failed", "unknown"):
                return job
        raise AssertionError(f"not final after {within_s} s: {job}")


@asynccontextmanager
async def running(
    kind: str, folder: Path, base_url: str, *, told: bool = True
) -> AsyncIterator[Service]:
    service = Service(kind, folder, base_url, told=told)
    try:
        await service.start()
        yield service
    finally:
        await service.end(signal.SIGKILL)
        await service.http.aclose()
