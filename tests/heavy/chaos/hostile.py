"""Chaos outside the calm assumptions: others on the account, bad listings, touched ledgers.

    python tests/heavy/chaos/hostile.py --runs 300 --foreign --listings
    python tests/heavy/chaos/hostile.py --runs 100 --all
    python tests/heavy/chaos/hostile.py --only 4711 --ledger         one run again, kept

Each run drives `kling-async bulk run` as a process of its own over a ledger, and reads what came of
it with `bulk export`: nothing here knows how a ledger looks inside. The truth is the emulator's.
Avatars that were made twice, lost or given to the wrong row are faults (exit 1). A run that refuses
a ledger or an input that was tampered with (exit 2) is right; then that is undone, and it goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve, field
from chaos_stage import TOKEN, Runner
from hostile_plan import (
    ACCOUNT,
    Act,
    HostilePlan,
    HostileRow,
    Switches,
    Tampering,
    edited,
    hostile_plan,
)

from kling_async.emulator import Avatar, Emulator, parse_faults, parse_views, sample_png

LONGEST_S = 180.0  # a busy machine is no fault
LAST_RUNS = 6
SIDES = ("", "-wal", "-shm", "-journal")
NAMES = ("foreign", "equal_texts", "listings", "ledger", "edits", "second")


@define
class Findings:
    """What a run came to; the first three must stay empty."""

    doubled: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    rows: int = 0
    made: int = 0
    unknown_could_be: int = 0
    """Made, listed, and nothing else looks like it: it could be known."""
    unknown_beyond: int = 0
    """Not made, not listed, or one of several that look alike: it can't be known."""
    refused: list[str] = field(factory=list)
    states: Counter[str] = field(factory=Counter)
    kills: int = 0
    trouble: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it shows a fault."""
        return bool(self.doubled or self.lost or self.wrong or self.trouble)


@define
class Job:
    """One input, one ledger, one process at a time."""

    name: str
    folder: Path
    base_url: str
    plan: HostilePlan
    runner: Runner
    rows: list[HostileRow]
    ledger: Path
    again: bool = False
    """Whether it was told that what looks like its rows is not its rows."""
    seen: dict[str, HostileRow] = field(factory=dict)
    """All rows that ever stood in the input, by tag."""

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.folder / f"{self.name}.txt"

    def write(self) -> Path:
        """The input as it is now."""
        file = self.folder / f"{self.name}.jsonl"
        with file.open("w") as lines:
            for row in self.rows:
                self.seen[row.tag] = row
                given: dict[str, Any] = {"x_tag": row.tag}
                if self.plan.keys:
                    given["key"] = row.tag.removesuffix("-m")
                if row.image is None:
                    given["image_url"] = row.image_url
                else:
                    picture = self.folder / f"{row.image}.png"
                    if not picture.exists():  # the other job may be reading it
                        picture.write_bytes(picture_of(self.plan.seed, row.image))
                    given["image"] = picture.name
                if row.nickname is not None:
                    given |= {"nickname": row.nickname, "prompt": row.prompt}
                lines.write(json.dumps(given) + "\n")
        return file

    async def start(self, ledger: Path | None = None) -> asyncio.Task[int]:
        """Begin a run; the task gives the exit status."""
        plan = self.plan
        args = ["bulk", "run", str(self.write()), "--ledger", str(ledger or self.ledger)]
        args += ["--reconcile-within", str(plan.within_s), "--rate", "none"]
        args += ["--concurrency", str(plan.concurrency), "--transport", plan.transport]
        args += ["--again"] if self.again else []
        return await self._order(args)

    async def results(self) -> list[dict[str, Any]]:
        """What the ledger says of each row, as a user exports it; none where it can't be read."""
        if not self.ledger.is_file():
            return []
        out = self.folder / f"{self.name}-results.jsonl"
        out.unlink(missing_ok=True)
        ended = await self._order(["bulk", "export", str(self.ledger), "--to", str(out)])
        if await asyncio.wait_for(ended, LONGEST_S) != 0 or not out.is_file():
            return []
        return [json.loads(line) for line in out.read_text().splitlines()]

    async def _order(self, args: Sequence[str]) -> asyncio.Task[int]:
        env = {"KLING_BASE_URL": self.base_url, "USEAPI_TOKEN": TOKEN, "KLING_ACCOUNTS": ""}
        return await self.runner.start(args, env, self.log, real_cli=False)


def picture_of(seed: int, number: int) -> bytes:
    """The bytes of a picture; each number's are its own."""
    return sample_png(seed * 1000 + number, 300, 300)


def tag_of(row: dict[str, Any]) -> str:
    """Whose a row of an export is."""
    return str(row.get("x_tag") or row.get("tag"))


@define
class Hostile:
    """A run of the program: the server, and the one or two jobs."""

    plan: HostilePlan
    folder: Path
    emulator: Emulator
    job: Job
    other: Job | None
    found: Findings = field(factory=Findings)
    gone: bool = False
    """Whether the ledger was deleted under the run, so that nobody can ask for its rows."""
    backup: Path | None = None

    async def play(self) -> None:
        """From an empty ledger to the comparison."""
        others = None if self.other is None else asyncio.create_task(self._to_its_end(self.other))
        try:
            spare = list(self.plan.spare)
            for act in self.plan.acts:
                await self._act(act, spare)
                if self.gone:
                    break
            # A run over a new ledger may make again what was uploaded: each upload has an address
            # of its own, so nothing listed looks like it. The run that was disturbed has said so.
            if not self.gone:
                await self._to_its_end(self.job)
            if others is not None:
                await others
            if self.plan.lag_s:
                await asyncio.sleep(self.plan.lag_s)
            if not self.gone:
                await self._to_its_end(self.job, times=1)
        except TimeoutError:
            self.found.trouble = f"a run did not end within {LONGEST_S:.0f} s"
        finally:
            if others is not None:
                others.cancel()
                await asyncio.gather(others, return_exceptions=True)
        await self._compare(self.job)
        if self.other is not None:
            await self._compare(self.other)

    # --- one act ---

    async def _act(self, act: Act, spare: list[HostileRow]) -> None:
        """A run that is killed or disturbed; then what is done before the next."""
        job, calls = self.job, sum(self.emulator.counts.values())
        ended = await job.start()
        if act.between == "old_copy":  # made while the first rows are done
            await self._until(ended, calls + 4)
            self._copied("early")
        goal = calls + (act.kill.after_calls if act.kill else 10**9)
        await self._until(ended, goal)
        if not ended.done() and act.during:
            await self._disturb(act.during, ended)
        if act.kill is not None and not ended.done():
            await asyncio.sleep(act.kill.wait_s)
            if not ended.done():
                number = signal.SIGKILL if act.kill.signal == "KILL" else signal.SIGINT
                job.runner.kill(number)
                self.found.kills += number == signal.SIGKILL
        code = await self._ended(ended, job)
        if code == 2:
            await self._refused_at_first(job)
        if self.gone:
            return
        before, ledger = list(job.rows), job.ledger
        if act.between:
            self._tamper(act.between)
        await self._edit(act, spare)
        if act.between or act.edits:
            await self._retry(act, before, ledger)

    async def _retry(self, act: Act, before: list[HostileRow], ledger: Path) -> None:
        """A run over what was changed; what is refused is undone, the input before the ledger."""
        code = await self._ended(await self.job.start(), self.job)
        if code == 2 and act.edits:
            self.job.rows, edits_alone = before, not act.between
            code = 0 if edits_alone else await self._ended(await self.job.start(), self.job)
            if code != 2:
                self.found.refused.append("edits")
        if code == 2:
            self.found.refused.append(act.between)
            self._restore(ledger)

    async def _disturb(self, how: Tampering, ended: asyncio.Task[int]) -> None:
        job = self.job
        if how == "deleted_under_run":
            if ended.done():
                return  # on a slow machine the run may be over: then nothing vanishes under it
            made = len(self.emulator.avatars)
            for side in SIDES:
                Path(f"{job.ledger}{side}").unlink(missing_ok=True)
            self.gone = True
            code = await self._ended(ended, job)
            if code != 2:
                self.found.trouble = f"a run went on without its ledger, exit code {code}"
            self.found.states["made after the ledger was gone"] += len(self.emulator.avatars) - made
            return
        name = job.folder / "another-name.sqlite"
        name.unlink(missing_ok=True)
        if how == "hard_link":
            os.link(job.ledger, name)
        else:
            name.symlink_to(job.ledger)
        second = evolve(job, name="linked", runner=Runner())
        job.runner.kill(signal.SIGSTOP)  # so that it is there until the second has spoken
        await asyncio.sleep(0.02)
        there = not ended.done()
        try:
            code = await self._ended(await second.start(name), second)
        finally:
            job.runner.kill(signal.SIGCONT)
            await second.runner.close()
        if code == 2:
            self.found.refused.append(how)
        elif there:
            self.found.trouble = f"a second process was let in through a {how}"
        name.unlink(missing_ok=True)
        for side in SIDES[1:]:
            Path(f"{name}{side}").unlink(missing_ok=True)

    def _tamper(self, how: Tampering) -> None:
        """Do it; a copy of all that was there is kept, as people who are careful have one."""
        ledger = self.job.ledger
        if not ledger.is_file():
            return
        self._copied("backup")
        if how == "emptied":
            ledger.write_bytes(b"")
        elif how == "old_copy":
            early = self.folder / "early" / ledger.name
            if early.is_file():
                for side in SIDES:
                    Path(f"{ledger}{side}").unlink(missing_ok=True)
                    if Path(f"{early}{side}").is_file():
                        shutil.copy(f"{early}{side}", f"{ledger}{side}")
        else:
            moved, bare = how.startswith("moved"), how.endswith("_bare")
            there = self.folder / how / ledger.name
            there.parent.mkdir()
            for side in ("",) if bare else SIDES:
                if Path(f"{ledger}{side}").is_file():
                    (shutil.move if moved else shutil.copy)(f"{ledger}{side}", f"{there}{side}")
            self.job.ledger = there

    def _copied(self, name: str) -> None:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for side in SIDES:
            if Path(f"{self.job.ledger}{side}").is_file():
                shutil.copy(f"{self.job.ledger}{side}", folder)

    def _restore(self, ledger: Path) -> None:
        """What was there before the tampering, under the name it had."""
        for side in SIDES:
            Path(f"{ledger}{side}").unlink(missing_ok=True)
            kept = self.folder / "backup" / f"{ledger.name}{side}"
            if kept.is_file():
                shutil.copy(kept, f"{ledger}{side}")
        self.job.ledger = ledger

    async def _edit(self, act: Act, spare: list[HostileRow]) -> None:
        job = self.job
        for edit in act.edits:
            if edit.what != "mend":
                job.rows = edited(job.rows, spare, edit)
                continue
            place = edit.place % len(job.rows)
            row = job.rows[place]
            # Only a row that was not made may say something else; without a key it is another row.
            sent = {str((one.fields or {}).get("nickname")) for one in self.emulator.calls}
            if job.plan.keys and row.nickname is not None and row.nickname not in sent:
                tag = f"{row.tag.removesuffix('-m')}-m"
                job.rows[place] = evolve(row, tag=tag, nickname=tag, prompt=f"Mended, as {tag}")

    # --- running ---

    async def _until(self, ended: asyncio.Task[int], calls: int) -> None:
        late_s = time.monotonic() + LONGEST_S
        while not ended.done() and sum(self.emulator.counts.values()) < calls:
            if time.monotonic() > late_s:
                return
            await asyncio.sleep(0.002)

    async def _ended(self, ended: asyncio.Task[int], job: Job) -> int:
        try:
            code = await asyncio.wait_for(asyncio.shield(ended), LONGEST_S)
        except TimeoutError:
            job.runner.kill(signal.SIGKILL)
            await ended
            raise
        if code not in (0, 1, 2, 130, -9):
            self.found.trouble = f"exit code {code}"
        return code

    async def _refused_at_first(self, job: Job) -> None:
        """Refused though nothing was tampered with: right where it says what looks alike."""
        said = job.log.read_text().rpartition("--- ")[2]
        if "--again" in said and not job.again:
            job.again = True
            self.found.refused.append("alike")
        elif not self.gone:
            self.found.trouble = f"refused: {said[-300:]}"

    async def _to_its_end(self, job: Job, times: int = LAST_RUNS) -> None:
        for _ in range(times):
            code = await self._ended(await job.start(), job)
            if code == 2:
                await self._refused_at_first(job)
                if not job.again:
                    return
            states = {row["state"] for row in await job.results()}
            if code in (0, 1) and "skipped" not in states:
                return

    # --- the verdict ---

    def _whose(self, job: Job) -> dict[str, list[Avatar]]:
        """What was really made for each row, by its tag."""
        shas = {one.name: one.sha256 for one in self.emulator.uploads}
        bare: dict[str, str] = {}
        for row in job.seen.values():
            if row.nickname is None:
                bare[self._picture(row)] = row.tag
        calls = {one.number: one.fields or {} for one in self.emulator.calls}
        found: dict[str, list[Avatar]] = {}
        for one in self.emulator.avatars:
            if one.foreign:
                continue
            tag = calls[one.call_number].get("nickname")
            if tag is None:
                picture = one.image_url if one.upload_name is None else shas[one.upload_name]
                tag = bare.get(picture)
            if tag in job.seen:
                found.setdefault(str(tag), []).append(one)
        return found

    def _picture(self, row: HostileRow) -> str:
        if row.image is None:
            return row.image_url or ""
        return hashlib.sha256(picture_of(self.plan.seed, row.image)).hexdigest()

    async def _compare(self, job: Job) -> None:
        found, made = self.found, self._whose(job)
        rows = {tag_of(row): row for row in await job.results()}
        found.rows += len(job.rows)
        found.made += sum(map(len, made.values()))
        for tag, avatars in made.items():
            if len(avatars) > 1:
                found.doubled.append(f"{tag}: {[one.id for one in avatars]}")
        tags = {one.id: tag for tag, avatars in made.items() for one in avatars}
        for tag, row in rows.items():
            if row["state"] == "created" and tags.get(str(row["avatar_id"])) != tag:
                whose = next((o for o in self.emulator.avatars if o.id == row["avatar_id"]), None)
                found.wrong.append(f"{tag}: {row['evidence']} {whose}")
        ids = Counter(row["avatar_id"] for row in rows.values() if row["avatar_id"])
        found.wrong += [f"{one} belongs to {n} rows" for one, n in ids.items() if n > 1]
        for one in job.rows:
            state = rows[one.tag]["state"] if one.tag in rows else "missing"
            found.states[state] += 1
            avatars = made.get(one.tag, [])
            if avatars and state not in ("created", "unknown") and not self.gone:
                found.lost.append(f"{one.tag}: {avatars[0].id} exists, the row is {state}")
            if state == "unknown" and avatars and self._is_knowable(avatars[0]):
                found.unknown_could_be += 1
            elif state == "unknown":
                found.unknown_beyond += 1

    def _is_knowable(self, avatar: Avatar) -> bool:
        """Whether a listing shows it, and nothing else with its picture."""
        limit = self.emulator.views.listing_limit
        newest = sorted(self.emulator.avatars, key=lambda one: -one.create_time_ms)[:limit]
        listed = any(one.id == avatar.id for one in newest)
        alike = sum(one.listed_url == avatar.listed_url for one in self.emulator.avatars)
        return listed and alike == 1


@asynccontextmanager
async def hostile(
    plan: HostilePlan, folder: Path, runners: Sequence[Runner]
) -> AsyncIterator[Hostile]:
    """All that a run needs."""
    emulator = Emulator(
        [ACCOUNT],
        seed=plan.seed,
        foreign=plan.foreign,
        latency_s=0.003,
        **parse_views(plan.views),
    )
    async with emulator.serve() as base_url:
        for number, age_s, equal in plan.foreign_before:
            row = plan.rows[number]
            if row.image_url is not None:
                emulator.foreign_avatar(
                    row.image_url,
                    nickname=row.nickname if equal else f"Other {number}",
                    prompt=row.prompt if equal else f"Somebody else's {number}",
                    age_s=age_s,
                )
        emulator.add_faults(parse_faults(plan.faults))
        ledger = folder / "ledger.sqlite"
        job = Job("job", folder, base_url, plan, runners[0], list(plan.rows), ledger)
        other = None
        if plan.switches.second:
            theirs = [
                evolve(row, tag=f"second-{row.tag}", nickname=f"second-{row.tag}", prompt="Second")
                for row in plan.rows
            ]
            other = Job(
                "second", folder, base_url, plan, runners[1], theirs, folder / "second.sqlite"
            )
        yield Hostile(plan, folder, emulator, job, other)


@define
class Sum:
    """Many runs."""

    runs: int = 0
    rows: int = 0
    made: int = 0
    kills: int = 0
    doubled: int = 0
    lost: int = 0
    wrong: int = 0
    unknown_could_be: int = 0
    unknown_beyond: int = 0
    trouble: int = 0
    states: Counter[str] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)
    failed_seeds: list[int] = field(factory=list)

    def add(self, seed: int, found: Findings) -> None:
        """One more."""
        self.runs += 1
        for name in ("rows", "made", "kills", "unknown_could_be", "unknown_beyond"):
            setattr(self, name, getattr(self, name) + getattr(found, name))
        for name in ("doubled", "lost", "wrong"):
            setattr(self, name, getattr(self, name) + len(getattr(found, name)))
        self.trouble += found.trouble is not None
        self.states.update(found.states)
        self.refused.update(found.refused)
        if found.failed:
            self.failed_seeds.append(seed)

    def __str__(self) -> str:
        unknown = self.unknown_could_be + self.unknown_beyond
        return (
            f"{self.runs} runs, {self.rows} rows, {self.made} avatars, {self.kills} SIGKILLs; "
            f"doubled {self.doubled}, lost {self.lost}, wrong {self.wrong}, "
            f"trouble {self.trouble}; unknown {unknown} ({self.unknown_could_be} could be known, "
            f"{self.unknown_beyond} can't); refused {dict(sorted(self.refused.items()))}; "
            f"states {dict(sorted(self.states.items()))}; {len(self.failed_seeds)} runs failed"
        )


async def play_all(args: argparse.Namespace, switches: Switches) -> Sum:
    """The runs, `--jobs` at a time."""
    total = Sum()
    seeds = iter(range(args.seed, args.seed + args.runs) if args.only is None else [args.only])

    async def some() -> None:
        runners = Runner(), Runner()
        try:
            for seed in seeds:
                plan = hostile_plan(seed, args.rows, switches)
                folder = Path(tempfile.mkdtemp(prefix=f"hostile-{seed}-"))
                async with hostile(plan, folder, runners) as here:
                    await here.play()
                total.add(seed, here.found)
                _tell(args, seed, here.found, folder)
                if not args.keep and args.only is None:
                    shutil.rmtree(folder)
        finally:
            for one in runners:
                await one.close()

    await asyncio.gather(*(some() for _ in range(args.jobs)))
    return total


def _tell(args: argparse.Namespace, seed: int, found: Findings, folder: Path) -> None:
    if args.json:
        print(json.dumps({"type": "run", "seed": seed, **asdict(found)}), flush=True)
    elif found.failed or args.only is not None or args.verbose:
        told = args.verbose or args.only is not None
        worst = [*found.doubled[:2], *found.lost[:2], *found.wrong[:2]] if told else ""
        print(
            f"seed {seed}: doubled {len(found.doubled)}, lost {len(found.lost)}, wrong "
            f"{len(found.wrong)}, refused {found.refused}, {found.trouble or ''} "
            f"{dict(found.states)} {worst} {folder}",
            file=sys.stderr,
            flush=True,
        )


def main() -> int:
    """Run and tell."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--foreign", action="store_true", help="others, with other texts")
    parser.add_argument(
        "--equal-texts", action="store_true", help="others, with equal texts: unknown is right"
    )
    parser.add_argument("--listings", action="store_true", help="late, cut, shuffled, empty")
    parser.add_argument("--ledger", action="store_true", help="moved, copied, emptied, linked")
    parser.add_argument("--edits", action="store_true", help="rows come, go, move, are mended")
    parser.add_argument("--second", action="store_true", help="a second job, the same pictures")
    parser.add_argument("--all", action="store_true", help="all of it, but for equal texts")
    parser.add_argument("--only", type=int, help="the run of this seed alone; its folder is kept")
    parser.add_argument("--keep", action="store_true", help="keep all folders")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    chosen = {name: getattr(args, name) or (args.all and name != "equal_texts") for name in NAMES}
    started_s = time.monotonic()
    total = asyncio.run(play_all(args, Switches(**chosen)))
    if args.json:
        print(json.dumps({"type": "sum", **asdict(total)}))
    else:
        which = " ".join(name for name, on in chosen.items() if on) or "calm"
        took_s = time.monotonic() - started_s
        print(f"{which}, seeds from {args.seed}: {total}; {took_s:.0f} s")
    return 1 if total.failed_seeds else 0


if __name__ == "__main__":
    sys.exit(main())
