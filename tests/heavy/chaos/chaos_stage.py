"""Where does a chaos run take place? Its server, its files, and the processes that are killed.

The emulator lives in the harness's process behind a real port, so that the truth outlives runners.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from attrs import define, field
from chaos_plan import Plan
from chaos_truth import Findings, Identity, findings
from engine import LedgerRow, rows_of

from kling_async.emulator import Emulator, parse_faults, sample_png
from kling_async.emulator.messages import Request

TOKEN = "user:12345-abcdefghi"
VICTIM = Path(__file__).with_name("victim.py")


@define
class Runner:
    """Where runners come from: processes of the command, or forks of a victim server."""

    _server: asyncio.subprocess.Process | None = None
    _pid: int = 0
    _ended: asyncio.Task[int] | None = None

    async def start(
        self, args: Sequence[str], env: Mapping[str, str], log: Path, *, real_cli: bool
    ) -> asyncio.Task[int]:
        """Begin; the task gives the exit status, negative for a signal.

        Args:
            args: of the command.
            env: its settings.
            log: what it says is appended there.
            real_cli: a process of its own from a cold start.
        """
        with log.open("a") as file:
            file.write(f"--- {time.strftime('%X')} {' '.join(args)}\n")
            file.flush()
            if real_cli:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "kling_async", *args),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    env={**os.environ, **env},
                )
                self._pid = process.pid
                self._ended = asyncio.create_task(process.wait())
                return self._ended
        server = await self.serve()
        order = {"args": list(args), "env": dict(env), "log": str(log)}
        assert server.stdin is not None
        server.stdin.write(json.dumps(order).encode() + b"\n")
        self._pid = await self._number()
        self._ended = asyncio.create_task(self._number())
        return self._ended

    async def serve(self) -> asyncio.subprocess.Process:
        """The victim server, ready for orders."""
        if self._server is None:
            self._server = await asyncio.create_subprocess_exec(
                *(sys.executable, str(VICTIM)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert self._server.stdout is not None
            await self._server.stdout.readline()
        return self._server

    def kill(self, number: int) -> None:
        """Send a signal, if it still runs: its number may be another's by now."""
        if self._ended is not None and not self._ended.done():
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    async def _number(self) -> int:
        assert self._server is not None
        assert self._server.stdout is not None
        line = await self._server.stdout.readline()
        if not line:
            raise RuntimeError(f"the victim server ended, {await self._server.wait()}")
        return int(line)

    async def close(self) -> None:
        """End the victim server."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            await self._server.wait()


def as_if_dead(ledger: Path) -> list[LedgerRow]:
    """All rows as the next run would find them, were this one to die now."""
    copy = ledger.parent / "as if dead" / ledger.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    copy.parent.mkdir()
    for end in ("", "-wal"):  # as they lie there: SQLite finds out what was committed
        shutil.copy(f"{ledger}{end}", f"{copy}{end}")
    return rows_of(copy)


def arrived(emulator: Emulator) -> set[str]:
    """The nicknames and the marks of all creates that came."""
    fields = [one.fields or {} for one in emulator.calls]
    return {str(one.get(name)) for one in fields for name in ("nickname", "replyRef")}


@define
class Stage:
    """One run's server, files and people."""

    plan: Plan
    folder: Path
    emulator: Emulator
    base_url: str
    runner: Runner
    strange: set[str] = field(factory=set)
    """Avatars of others."""

    @property
    def ledger(self) -> Path:
        """The file."""
        return self.folder / "ledger.sqlite"

    @property
    def calls(self) -> int:
        """Requests so far."""
        return sum(self.emulator.counts.values())

    @property
    def args(self) -> list[str]:
        """The command."""
        plan = self.plan
        args = ["bulk", "run", str(self.folder / "rows.jsonl"), "--ledger", str(self.ledger)]
        args += ["--reconcile-within", str(plan.within_s), "--rate", "none"]
        args += ["--concurrency", str(plan.concurrency), "--transport", plan.transport]
        if len(plan.accounts) > 1:
            args += ["--choose", "round_robin"]
            args += [part for one in plan.accounts for part in ("--account", one)]
        if plan.rehost:
            args.append("--single-writer")
        return args

    async def start(self, failpoint: tuple[str, int] | None = None) -> asyncio.Task[int]:
        """Begin a run; the task gives the exit status, negative for a signal."""
        env = {"KLING_BASE_URL": self.base_url, "USEAPI_TOKEN": TOKEN, "KLING_ACCOUNTS": ""}
        if failpoint is not None:
            env["CHAOS_FAILPOINT"] = "{} {}".format(*failpoint)
        log = self.folder / "log.txt"
        return await self.runner.start(self.args, env, log, real_cli=self.plan.real_cli)

    def set_up(self) -> None:
        """Write the input; make what was there before; then the faults begin."""
        with (self.folder / "rows.jsonl").open("w") as file:
            for row in self.plan.rows:
                given = {"key": row.key, "nickname": row.nickname, "prompt": row.prompt}
                if row.account is not None:
                    given["account"] = row.account
                if row.image is None:
                    given["image_url"] = row.image_url or ""
                else:
                    picture = self.folder / f"{row.image}.png"
                    picture.write_bytes(self.picture(row.image))
                    given["image"] = picture.name
                file.write(json.dumps(given) + "\n")
        for account, url in self.plan.listed_before:
            self.make(account, url, "before", "was there before")
        self.emulator.clock.advance(self.plan.listing_lag_s)  # it was there for long
        self.emulator.add_faults(parse_faults(self.plan.faults))

    def picture(self, number: int) -> bytes:
        """The bytes of a picture; each number's are its own."""
        return sample_png(self.plan.seed * 1000 + number, 300, 300)

    def make(self, account: str, url: str, nickname: str, prompt: str) -> None:
        """Somebody else makes an avatar, if no fault strikes."""
        fields = {"imageUrl": url, "nickname": nickname, "prompt": prompt, "email": account}
        known = {one.id for one in self.emulator.avatars}
        request = Request.parse(
            *("POST", "/v1/kling/avatars"),
            (("authorization", f"Bearer {TOKEN}"), ("content-type", "application/json")),
            json.dumps(fields).encode(),
            origin=self.base_url.removesuffix("/v1/kling"),
        )
        self.emulator.receive(request).work()
        self.strange |= {one.id for one in self.emulator.avatars} - known

    def identities(self) -> dict[str, Identity]:
        """Which avatar is whose."""
        return {
            row.key: (
                row.image_url or ""
                if row.image is None
                else hashlib.sha256(self.picture(row.image)).hexdigest(),
                row.nickname,
            )
            for row in self.plan.rows
        }

    def findings(self) -> Findings:
        """The truth and the ledger, compared."""
        return findings(self.emulator, self.ledger, self.identities(), but=self.strange)

    def unsent(self) -> set[str]:
        """Rows whose intent a run would find, were it to begin now, and whose create has not come.

        To be asked while the process is stopped.
        """
        intent = {one.key for one in as_if_dead(self.ledger) if one.state == "intent"}
        return intent - arrived(self.emulator)

    def open_rows(self) -> int:
        """Rows that another run would work on."""
        over = ("done", "failed", "unknown")
        return len(self.plan.rows) - sum(one.state in over for one in rows_of(self.ledger))


@asynccontextmanager
async def stage(plan: Plan, folder: Path, runner: Runner) -> AsyncIterator[Stage]:
    """All that a run needs."""
    emulator = Emulator(
        plan.accounts,
        seed=plan.seed,
        latency_s=plan.latency_s,
        rehost_images=plan.rehost,
        listing_lag_s=plan.listing_lag_s,
        listing_shuffled=plan.shuffled,
    )
    async with emulator.serve() as base_url:
        yield Stage(plan, folder, emulator, base_url, runner)
