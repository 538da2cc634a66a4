"""Does the emulator's own page show what is there, and steer it, in a real browser?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import until

from kling_async import AsyncKlingClient
from kling_async.emulator import Emulator, Fault, format_fault

PORTRAIT = Path(__file__).parents[3] / "docs" / "examples" / "portraits" / "ada.jpg"
BODIES = {"reset": "", "clock": '{"advance_s": 9000}', "faults": "*:reset_before"}
BAD = "<img id=bad src=x onerror=\"document.title='bad'\"></script><!--calls-->'\"><b id=bad>"
FAR = """(() => {
  const pixels = (of, width, height) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 32;
    const to = canvas.getContext("2d");
    to.drawImage(of, 0, 0.3 * (height - width), width, width, 0, 0, 32, 32);
    return to.getImageData(0, 0, 32, 32).data;
  };
  const picture = document.querySelector("#avatars img");
  const seen = pixels(kept, 720, 720);
  const wanted = pixels(picture, picture.naturalWidth, picture.naturalHeight);
  return seen.reduce((sum, one, at) => sum + Math.abs(one - wanted[at]), 0) / seen.length;
})()"""
"""How far the video is from the picture, cut square: the mean, of 255; a grey one has some 50."""


@pytest.fixture
async def world() -> AsyncIterator[tuple[Emulator, str]]:
    """An emulator with an avatar, one of somebody else's that looks bad, and a talking video."""
    emulator = Emulator(token="user:1-secretword", job_s=40)
    async with emulator.serve() as base_url:
        async with AsyncKlingClient("user:1-secretword", base_url=base_url) as kling:
            ada = await kling.avatars.create(image=PORTRAIT, nickname="Ada")
            voice = (await kling.tts.voices())[0].speaker_id
            await kling.avatars.video(avatar_id=ada, text="Hello " * 9 + BAD, speaker_id=voice)
        emulator.foreign_avatar("https://elsewhere.example/b.png", nickname=BAD, prompt=BAD)
        yield emulator, base_url.removesuffix("/v1/kling")


async def said(page: Any, what: str) -> str:
    return await page.inner_text(f"#{what}")


async def test_it_shows_what_happens_and_steers_it(
    world: tuple[Emulator, str], open_page: Callable[..., Awaitable[Any]]
) -> None:
    emulator, origin = world
    before = emulator.counts
    page = await open_page(f"{origin}/")
    assert "Ada" in await said(page, "avatars")
    await until(page, "document.querySelector('#avatars img').naturalWidth > 0")
    assert "avatar_video" in await said(page, "tasks")
    assert "s left" in await said(page, "tasks")

    await page.click("text=+1 min")
    await until(page, "document.querySelector('#tasks video') !== null")
    assert emulator.tasks[0].state == "succeed"
    await page.evaluate("(kept = document.querySelector('#tasks video')).play().then(() => 1)")
    await until(page, "kept.readyState >= 2 && kept.videoWidth === 720 && kept.currentTime > 0.3")
    # The portrait speaks: video and picture have the same pixels, but for what decoders round.
    assert await page.evaluate(FAR) < 4

    await page.select_option("[name=operation]", "avatars.list")
    await page.select_option("[name=kind]", "status")
    await page.click("text=switch on")
    await until(page, "document.querySelectorAll('#faults li').length === 1")
    assert emulator.unconsumed_faults() == [Fault("avatars.list", "status", status=503, times=1)]
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        reply = await client.get(
            f"{origin}/v1/kling/avatars", headers={"Authorization": "Bearer user:1-secretword"}
        )
    assert reply.status_code == 503
    await until(page, "document.getElementById('calls').textContent.includes('fault: status')")
    assert "struck 1 time" in await said(page, "faults")
    await page.click("text=switch off")
    await until(page, "document.querySelectorAll('#faults li').length === 0")
    assert emulator.strikes() == []

    await page.fill("[name=when]", "never")
    await page.click("text=switch on")
    await until(page, "document.getElementById('said').className === 'bad'")
    assert "never" in await said(page, "said")
    assert await page.evaluate("kept.isConnected && !kept.error")  # it was not made anew
    # What the page itself asks for is no call of anybody's.
    assert emulator.counts - before == {"avatars.list": 1}


async def test_nothing_from_outside_is_markup_and_no_token_is_shown(
    world: tuple[Emulator, str], open_page: Callable[..., Awaitable[Any]]
) -> None:
    _, origin = world
    page = await open_page(f"{origin}/")
    await page.wait_for_timeout(0)
    await page.evaluate("refresh()")
    assert await page.query_selector_all("#bad") == []
    assert await page.title() == "Kling, emulated"
    assert (await said(page, "avatars")).count(BAD) == 2
    assert BAD in await said(page, "tasks")
    assert "secretword" not in await page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_read_on_a_phone_and_without_scripts(
    world: tuple[Emulator, str], open_page: Callable[..., Awaitable[Any]], scheme: str
) -> None:
    emulator, origin = world
    emulator.add_faults([Fault("avatars.create", "status", status=500, body="x" * 300)])
    for scripts in (True, False):
        page = await open_page(
            f"{origin}/", width=360, color_scheme=scheme, java_script_enabled=scripts
        )
        size = "[document.documentElement.scrollWidth, document.body.scrollWidth]"
        if scripts:
            assert max(await page.evaluate(size)) <= 360
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
        assert "Ada" in await said(page, "avatars")
        assert format_fault(emulator.strikes()[0][0]) in await said(page, "faults")
        assert "/v1/kling/avatars/video" in await said(page, "calls")
        assert await page.is_visible("text=switch off") is scripts


async def test_a_page_of_another_origin_moves_nothing(
    world: tuple[Emulator, str], open_page: Callable[..., Awaitable[Any]]
) -> None:
    emulator, origin = world
    async with Emulator().serve() as other:
        page = await open_page(other.replace("/v1/kling", "/openapi.json"))  # forbids nothing
        for name, body in BODIES.items():
            await page.evaluate(
                "([where, body]) => fetch(where, {method: 'POST', mode: 'no-cors', body})",
                [f"{origin}/_emulator/{name}", body],
            )
    assert len(emulator.avatars) == 2
    assert emulator.strikes() == []
    assert emulator.clock.now_ms() - emulator.calls[0].at_ms < 3600_000
