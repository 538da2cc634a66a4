"""Do tasks, the scheduler and speech fit together, on an emulator and over two accounts?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kling_async import AsyncKlingClient, BadRequestError, NotFoundError, RetryPolicy, Task
from kling_async.emulator import EmulatedAccount, Emulator, Fault, sample_png

ADA, BEN = "ada@example.com", "ben@example.com"
PNG = sample_png()
Open = Callable[..., Awaitable[AsyncKlingClient]]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator([EmulatedAccount(ADA, 3), EmulatedAccount(BEN, 2)], job_s=float("inf"))


@pytest.fixture
def kling_options() -> dict[str, Any]:
    return {"accounts": [ADA, BEN]}


async def begun(kling: AsyncKlingClient, email: str) -> Task:
    speaker_id = (await kling.tts.voices(email=email))[0].speaker_id
    return await kling.avatars.video(image=PNG, text="Hi", speaker_id=speaker_id, email=email)


async def test_a_job_takes_a_place_and_forgetting_frees_it(
    kling: AsyncKlingClient, emulator: Emulator
) -> None:
    task = await begun(kling, BEN)
    (running,) = await kling.scheduler.running()
    assert (running.id, running.email) == (task.id, BEN)
    assert running.reply_ref
    assert running.elapsed_s is not None
    places = {one.email: one.available for one in (await kling.scheduler.available()).available}
    assert places == {ADA: 3, BEN: 1}

    await kling.scheduler.forget(running)
    assert await kling.scheduler.running() == []
    still = await kling.tasks.get(task)  # it runs on: forgetting does not cancel
    assert (still.id, still.is_final) == (task.id, False)
    (truth,) = emulator.tasks
    assert (truth.forgotten, truth.credits > 0) == (True, True)
    with pytest.raises(NotFoundError):
        await kling.scheduler.forget(task)


async def test_results_go_to_their_account(open_client: Open) -> None:
    emulator = Emulator([ADA, BEN], job_s=0)
    kling = await open_client(transport=emulator.transport(), accounts=[ADA, BEN])
    task = await begun(kling, BEN)
    done = await kling.tasks.get(task)
    while not done.is_final:
        await asyncio.sleep(0.01)
        done = await kling.tasks.get(task)
    assert done.succeeded
    assert [one.id for one in await kling.tasks.list(email=BEN)] == [task.id]
    assert await kling.tasks.list(email=ADA) == []
    with pytest.raises(NotFoundError):
        await kling.tasks.get(task, email=ADA)
    deleted = await kling.tasks.delete(done)
    assert deleted.work_ids == tuple(one.work_id for one in done.works)


async def test_a_delete_whose_answer_is_lost_is_done(open_client: Open, no_waiting: Any) -> None:
    emulator = Emulator([ADA], job_s=0)
    options = {"retry": RetryPolicy(attempts=3), "clock": no_waiting, "accounts": [ADA]}
    kling = await open_client(transport=emulator.transport(), **options)
    task = await begun(kling, ADA)
    while not (await kling.tasks.get(task)).is_final:
        await asyncio.sleep(0.01)
    emulator.add_faults([Fault("tasks.delete", "reset_after", at=1)])
    deleted = await kling.tasks.delete(task)
    assert (deleted.work_ids, deleted.meta.attempts) == ((), 2)
    assert emulator.tasks[0].deleted


async def test_speech(kling: AsyncKlingClient, emulator: Emulator) -> None:
    voices = await kling.tts.voices(email=BEN)
    speech = await kling.tts.create("Hello", speaker_id=voices[0])
    assert speech.succeeded
    assert speech.url
    assert emulator.speeches


async def test_all_at_once(kling: AsyncKlingClient) -> None:
    tasks = await asyncio.gather(begun(kling, ADA), begun(kling, ADA), begun(kling, BEN))
    running = await kling.scheduler.running()
    assert {(one.id, one.email) for one in running} == {
        (one.id, one.meta.account) for one in tasks if one.meta
    }


# --- files and accounts -----------------------------------------------------------------------


async def test_uploads_are_listed_and_deleted_where_they_are(
    kling: AsyncKlingClient, emulator: Emulator
) -> None:
    for _ in range(3):
        await kling.assets.upload(PNG, email=BEN)
    files = await kling.assets.uploaded(email=BEN)
    assert len(files) == 3
    assert all(one.url and one.content_type == "image" for one in files)
    assert await kling.assets.uploaded(email=ADA) == []
    first = await kling.assets.uploaded(page_size=2, email=BEN)
    second = await kling.assets.uploaded(page_size=2, page_num=2, email=BEN)
    assert [*first, *second] == files
    gone = await kling.assets.delete_uploaded(files[:2])
    assert (gone.deleted, set(gone.ids)) == (2, {one.id for one in files[:2]})
    assert await kling.assets.uploaded(email=BEN) == files[2:]


async def test_what_was_made_is_listed_and_linked(open_client: Open) -> None:
    emulator = Emulator([ADA, BEN], job_s=0)
    kling = await open_client(transport=emulator.transport(), accounts=[ADA, BEN])
    tasks = [await begun(kling, BEN) for _ in range(2)]
    for task in tasks:
        while not (await kling.tasks.get(task)).is_final:
            await asyncio.sleep(0.01)
    made = await kling.assets.generated(email=BEN)
    assert {one.id for one in made.tasks} == {one.id for one in tasks}
    assert (await kling.assets.generated(email=ADA)).tasks == ()
    one = await kling.assets.download_link(made.tasks[0], file_types="MP4")
    both = await kling.assets.download_link(list(made.tasks), file_types="MP4")
    assert [".zip" in link.cdn_url for link in (one, both)] == [False, True]
    with pytest.raises(BadRequestError):
        await kling.assets.download_link(1, file_types="MP4", email=BEN)


async def test_an_account_comes_and_goes(open_client: Open) -> None:
    emulator = Emulator([ADA])
    kling = await open_client(transport=emulator.transport(), accounts=[ADA])
    added = await kling.accounts.add(BEN, "secret word", max_jobs=7)
    assert (added.email, added.max_jobs) == (BEN, 7)
    assert [one.email for one in await kling.accounts.list()] == [ADA, BEN]
    assert await kling.avatars.list(email=BEN) == []
    assert "secret word" not in f"{added!r} {added.raw} {[repr(one) for one in emulator.calls]}"
    await kling.accounts.add(BEN, "secret word", max_jobs=9)
    assert (await kling.accounts.get(BEN)).max_jobs == 9
    await kling.accounts.remove(BEN)
    assert [one.email for one in kling.accounts] == [ADA]
    with pytest.raises(NotFoundError):
        await kling.accounts.remove(BEN)


async def test_removing_an_account_whose_answer_is_lost(open_client: Open, no_waiting: Any) -> None:
    emulator = Emulator([ADA, BEN], faults=[Fault("accounts.remove", "reset_after", at=1)])
    options = {"retry": RetryPolicy(attempts=3), "clock": no_waiting, "accounts": [ADA, BEN]}
    kling = await open_client(transport=emulator.transport(), **options)
    removed = await kling.accounts.remove(BEN)
    assert removed.meta.attempts == 2
    assert [one.email for one in kling.accounts] == [ADA]
