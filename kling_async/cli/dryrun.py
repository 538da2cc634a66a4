"""What would a run make, how long would it take, and what would it cost? `bulk run --dry-run`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from .._limits.limits import RateLimit
from ..bulk.already import looks_made
from ..bulk.health import LooksMadeError, name_of
from ..bulk.inputs import read_rows
from ..bulk.places import is_there, read_ledger
from ..bulk.preflight import Checked
from ..bulk.problems import InputError
from ..bulk.recipes import TALKING, Recipe
from ..bulk.selection import Selection
from ..bulk.sources import in_chunks
from ..bulk.voices import check_avatars, check_voices
from ..client import AsyncKlingClient
from ..errors import KlingError
from ..models.prices import HUNDREDTHS
from ..models.sightings import Sighting
from .choice import Choice
from .faults import FaultTable
from .job import JobOptions
from .progress import duration, many
from .streams import echo, echo_json

if TYPE_CHECKING:
    from ..bulk.postgres_session import LedgerAddress

JOB_S = (100, 250)
"""How long a job of 5 seconds of video was seen to take (a user's production numbers)."""


@frozen
class DryRun:
    """What a dry run looks at."""

    order: JobOptions
    choice: Choice
    selection: Selection
    checked: Checked
    input: Path
    ledger: Path | LedgerAddress
    rate: RateLimit | None

    @property
    def recipe(self) -> Recipe:
        """Of each row."""
        return self.order.recipe(self.input)

    def to_make(self) -> dict[int, int]:
        """Number of a step -> how many of them a run would make."""
        made = self.recipe.made
        found = {n: count for n, count in self.checked.to_make.items() if n <= made}
        most = self.order.max_videos
        for number in found:
            if most is not None and self.recipe.step(number).request.starts_task:
                found[number] = min(found[number], most)
        return found


@define
class _Plan:
    """What would be done."""

    made: dict[str, int] = field(factory=dict)
    """Noun -> how many."""
    jobs: int = 0
    requests: int = 0
    at_least_s: float | None = None
    accounts: list[dict[str, Any]] = field(factory=list)


async def dry_run(kling: AsyncKlingClient, dry: DryRun, faults: FaultTable) -> int:
    """Ask the server for what it has, and say what a run would do. Nothing is made."""
    await _check_names(kling, dry, faults)
    if not dry.order.again:
        await _check_new(kling, dry)
    plan = _plan(dry)
    plan.accounts = [one async for one in _accounts(kling)]
    if plan.requests and dry.rate is not None:
        known = len(dry.checked.accounts) or 1
        rate = dry.rate.requests / dry.rate.per_s
        plan.at_least_s = plan.requests / rate / max(known, len(kling.accounts.registry) or 1)
    if dry.order.as_json:
        _say_json(dry, plan)
    else:
        for line in _lines(dry, plan, await _done(dry.ledger)):
            echo(line)
    return 1 if dry.selection.bad else 0


def _plan(dry: DryRun) -> _Plan:
    plan, recipe = _Plan(), dry.recipe
    for number, count in dry.to_make().items():
        spec = recipe.step(number)
        plan.made[spec.noun] = count
        plan.requests += count
        plan.jobs += count if spec.request.starts_task else 0
        plan.requests += sum(dry.checked.uploads.get(one, 0) for one in spec.attachments)
    return plan


def _lines(dry: DryRun, plan: _Plan, done: int) -> Iterator[str]:
    checked, recipe = dry.checked, dry.recipe
    videos = checked.steps.get(2, 0) if recipe.steps is TALKING.steps else 0
    said = f"{many(checked.uploads.get('image', 0), 'image')} to upload, "
    said += f"{many(len(checked.speakers), 'voice')} checked"
    if dry.order.video:
        audios = many(checked.uploads.get("audio", 0), "audio file")
        said += f", {many(videos, 'video')} to make with {audios} to upload"
    rows = f"{many(checked.rows, 'row')} of {dry.input} {'is' if checked.rows == 1 else 'are'} fine"
    yield f"{rows}: {said}. Nothing was sent."
    if done:
        things = "avatars" if recipe.steps is TALKING.steps else "rows"
        yield f"{done} of the {things} are in {dry.ledger} already, and are not made again."
    if videos and not dry.order.video:
        yield unasked(videos)
    things = ", ".join(many(count, noun) for noun, count in plan.made.items())
    yield f"To be made: {things or 'nothing'}."
    if plan.at_least_s is not None:
        per = "" if dry.rate is None or dry.rate.per_s == 1 else f"{dry.rate.per_s:g} "
        rate = f"{dry.rate.requests}/{per}s" if dry.rate is not None else ""
        yield f"Time: at least {duration(plan.at_least_s)} for {plan.requests} requests at {rate}."
    if plan.jobs:
        yield from _of_jobs(dry, plan)
    for one in plan.accounts:
        yield _of_account(one)


def _of_jobs(dry: DryRun, plan: _Plan) -> Iterator[str]:
    slots = sum(one["max_jobs"] or 0 for one in plan.accounts)
    if slots:
        rounds = math.ceil(plan.jobs / slots)
        least, most = (duration(rounds * one) for one in JOB_S)
        yield (
            f"Jobs: {plan.jobs} on {many(slots, 'job slot')}; {least} to {most} "
            f"if each takes {JOB_S[0]} to {JOB_S[1]} s, as short videos were seen to."
        )
    checked = dry.checked
    parts = []
    if dry.order.max_credits is not None:
        parts.append(f"at most {dry.order.max_credits:g} credits, all runs together")
    elif known := checked.hundredths:
        at_most = "at most " if dry.order.max_videos is not None else ""
        parts.append(f"{at_most}{known / HUNDREDTHS:,.2f} credits")
    parts += [f"{many(min(n, plan.jobs), 'job')} of {name} at a price not known here" for name, n
              in checked.unpriced.items()]  # fmt: skip
    yield f"Cost: {', and '.join(parts) or 'nothing, or usually so'}."


def _of_account(one: Mapping[str, Any]) -> str:
    said = []
    if one["credits"] is not None:
        said.append(f"{one['credits']:,.2f} credits left")
    if one["max_jobs"] is not None:
        free = "" if one["free"] is None else f"{one['free']} of "
        said.append(f"{free}{many(one['max_jobs'], 'job slot')}{' free' if free else ''}")
    if one["error"] is not None:
        said.append(str(one["error"]))
    return f"Account {one['account']}: {', '.join(said) or 'nothing is known of it'}."


def _say_json(dry: DryRun, plan: _Plan) -> None:
    checked = dry.checked
    echo_json(
        {
            "type": "dry run",
            "rows": checked.rows,
            "rows_of_input": checked.all_rows,
            "left_out": len(dry.selection.bad),
            "to_make": plan.made,
            "requests": plan.requests,
            "at_least_s": plan.at_least_s,
            "jobs": plan.jobs,
            "credits": checked.hundredths / HUNDREDTHS,
            "unpriced": dict(checked.unpriced),
            "accounts": plan.accounts,
        },
    )


async def _accounts(kling: AsyncKlingClient) -> AsyncIterator[dict[str, Any]]:
    """Each account with its balance and slots, as far as the server tells them."""
    try:
        listed = {one.email: one for one in await kling.accounts.list()}
        slots = {one.email: one for one in (await kling.scheduler.available()).available}
    except KlingError as exc:
        said = {"account": name_of(None), "credits": None, "max_jobs": None, "free": None}
        yield {**said, "error": f"its balance and slots can't be asked for: {exc}"}
        return
    used = [one.email for one in kling.accounts.registry] or list(listed)
    for email in used:
        told, credits, error = listed.get(email), None, None
        try:
            balance = (await kling.accounts.get(email)).balance
            credits = None if balance is None else balance.total
        except KlingError as exc:
            error = str(exc)
        free = slots.get(email)
        yield {
            "account": email,
            "credits": None if credits is None else credits / HUNDREDTHS,
            "max_jobs": None if told is None else told.max_jobs,
            "free": None if free is None else free.available,
            "error": error,
        }


async def _check_names(kling: AsyncKlingClient, dry: DryRun, faults: FaultTable) -> None:
    """InputError where rows name voices or avatars that the server does not have."""
    checked = dry.checked
    voices = {
        account: await kling.tts.voices(email=account)
        for account in {use.account for use in checked.speakers}
    }
    avatars = {
        account: await _avatar_ids(kling, account)
        for account in {account for account, _ in checked.given}
    }
    problems = [
        *check_voices(checked, voices, dry.input),
        *check_avatars(checked, avatars, dry.input),
    ]
    if problems:
        for one in problems:
            faults.add(one)
        raise InputError(sorted(problems, key=lambda one: one.line or 0))


async def _check_new(kling: AsyncKlingClient, dry: DryRun) -> None:
    """LooksMadeError where rows look as if another job had made them already."""
    recipe, checked = dry.recipe, dry.checked
    evidence = recipe.step(1).request.evidence
    if evidence is None or not evidence.likeness:
        return
    named = [None] if checked.without_account or not checked.accounts else []
    for account in (*named, *sorted(checked.accounts)):
        seen: list[Sighting] = []
        for listing in evidence.listings(account):
            seen += map(evidence.sighting, await kling.send(listing))
        read = read_rows(dry.input, recipe, keep_columns=dry.choice.keep_columns)
        chunks = dry.selection.of(in_chunks(read))
        if await is_there(dry.ledger):
            async with read_ledger(dry.ledger) as known:
                claimed = await known.owners(account, evidence.kind, {one.id for one in seen})
                seen = [one for one in seen if one.id not in claimed]
                found = await looks_made(chunks, recipe, seen, known)
        else:
            found = await looks_made(chunks, recipe, seen)
        if found:
            raise LooksMadeError(account, evidence.kind, found)


async def _done(ledger: Path | LedgerAddress) -> int:
    if not await is_there(ledger):
        return 0
    async with read_ledger(ledger) as book:
        return (await book.step_counts()).get((1, "done"), 0)


async def _avatar_ids(kling: AsyncKlingClient, account: str | None) -> set[str]:
    """The account's avatars, and the templates."""
    listed = await kling.avatars.list(email=account)
    listed += await kling.avatars.list("templates", email=account)
    return {one.id for one in listed}


def unasked(videos: int) -> str:
    """What is said where rows ask for videos and the run makes none."""
    return f"{videos} rows have a text or an audio: add --video to make their videos."
