"""A request class as a method: its shape, whose account it uses, and where its files are read."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from attrs import fields, frozen

from kling_async import AsyncKlingClient, CreateAvatar, InvalidRequestError, Media, TaskRequest
from kling_async.emulator import Emulator, sample_png
from kling_async.errors import ConfigurationError
from kling_async.models import media
from kling_async.models.operations import operations, request_type
from kling_async.resources.avatars import Avatars

ADA, BEN = "ada@example.com", "ben@example.com"


@pytest.fixture
async def kling() -> AsyncGenerator[AsyncKlingClient]:
    """A client of two accounts, which chooses none by itself."""
    emulator = Emulator([ADA, BEN])
    async with AsyncKlingClient(
        "user:1-a", accounts=[ADA, BEN], base_url="http://localhost/v1/kling",
        transport=emulator.transport(), rate_limit=None,
    ) as client:  # fmt: skip
        yield client


async def test_the_shape_is_the_requests(kling: AsyncKlingClient) -> None:
    names = list(inspect.signature(kling.avatars.create).parameters)
    assert set(names) == {one.name for one in fields(CreateAvatar)}
    assert names[0] == "image_url"  # its own first, what all have last
    assert names[-2:] == ["email", "extra"]
    assert inspect.signature(kling.avatars.create).return_annotation == "CreatedAvatar"
    assert inspect.iscoroutinefunction(kling.avatars.create)
    assert kling.avatars.create.__name__ == "create"
    assert "nickname: at most 30 characters" in inspect.getdoc(kling.avatars.create)  # type: ignore[operator]
    assert next(iter(inspect.signature(Avatars.create).parameters)) == "self"
    assert Avatars.create.__qualname__ == "Avatars.create"


async def test_only_what_is_paid_for_speaks_of_unknown_outcomes(kling: AsyncKlingClient) -> None:
    assert "OutcomeUnknownError" in (kling.videos.text2video.__doc__ or "")
    assert "OutcomeUnknownError" not in (kling.tts.voices.__doc__ or "")


async def test_positions_and_strange_names_are_type_errors(kling: AsyncKlingClient) -> None:
    with pytest.raises(TypeError):
        await kling.videos.text2video("A kite")  # type: ignore[misc]
    with pytest.raises(TypeError):
        await kling.videos.text2video(promt="A kite")  # type: ignore[call-arg]


class TestAccount:
    """Whose account a call uses that is about results."""

    async def test_that_of_the_result(self, kling: AsyncKlingClient) -> None:
        avatar = await kling.avatars.create(image_url="https://x.y/a.png", email=BEN)
        speaker = (await kling.tts.voices(email=BEN))[0].speaker_id
        task = await kling.avatars.video(avatar_id=avatar, text="Hi", speaker_id=speaker)
        assert task.meta.account == BEN

    async def test_the_one_that_is_named_counts_before_it(self, kling: AsyncKlingClient) -> None:
        voice = (await kling.tts.voices(email=BEN))[0]
        speech = await kling.tts.create("Hi", speaker_id=voice, email=ADA)
        assert speech.meta.account == ADA

    async def test_results_of_two_are_refused(self, kling: AsyncKlingClient) -> None:
        avatar = await kling.avatars.create(image_url="https://x.y/a.png", email=BEN)
        voice = (await kling.tts.voices(email=ADA))[0]
        with pytest.raises(InvalidRequestError, match=f"{ADA}, {BEN}"):
            await kling.avatars.video(avatar_id=avatar, text="Hi", speaker_id=voice)


class TestFiles:
    """Files are looked into off the loop, once."""

    @pytest.fixture
    def threads(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The threads in which files were looked into."""
        seen: list[int] = []
        look = media.inspect

        def watched(*args: Any, **options: Any) -> Any:
            if not isinstance(args[0], Media):  # else it was looked into before
                seen.append(threading.get_ident())
            return look(*args, **options)

        monkeypatch.setattr("kling_async.models.fields.inspect", watched)
        monkeypatch.setattr("kling_async.models.assets.inspect", watched)
        return seen

    async def test_in_a_thread(
        self, kling: AsyncKlingClient, threads: list[int], tmp_path: Path
    ) -> None:
        (tmp_path / "a.png").write_bytes(sample_png())
        await kling.avatars.create(image=tmp_path / "a.png", email=ADA)
        await kling.assets.upload(tmp_path / "a.png", email=ADA)
        assert len(threads) == 2
        assert threading.get_ident() not in threads

    async def test_what_was_looked_into_needs_none(
        self, kling: AsyncKlingClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built: list[Any] = []
        in_thread = asyncio.to_thread

        async def watched(function: Any, *args: Any, **options: Any) -> Any:
            built.append(function)
            return await in_thread(function, *args, **options)

        monkeypatch.setattr(asyncio, "to_thread", watched)
        portrait = CreateAvatar(image=sample_png()).image
        assert isinstance(portrait, Media)
        await kling.avatars.create(image_url="https://x.y/a.png", email=ADA)
        await kling.avatars.create(image=portrait, email=ADA)
        assert CreateAvatar not in built
        await kling.avatars.create(image=sample_png(), email=ADA)
        assert CreateAvatar in built

    async def test_what_is_wrong_with_one_is_said_with_the_rest(
        self, kling: AsyncKlingClient, tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            await kling.avatars.create(image=tmp_path / "none.png", nickname="x" * 31, email=ADA)
        assert set(caught.value.problems) == {"image", "nickname"}


class TestRegistry:
    """The operations by their names."""

    def test_by_name(self) -> None:
        assert request_type("avatars.create") is CreateAvatar
        assert all(cls.operation == name for name, cls in operations().items())

    def test_a_wrong_name_lists_the_right_ones(self) -> None:
        with pytest.raises(ConfigurationError, match=r"'avatars\.make'; there are .*\.create"):
            request_type("avatars.make")

    def test_one_of_a_users_own(self) -> None:
        @frozen(kw_only=True)
        class Sing(TaskRequest):
            """As a user would declare it."""

            operation = "tests.sing"
            route = "/tests/sing"

        assert request_type("tests.sing") is Sing
        assert "tests.sing" not in operations()
