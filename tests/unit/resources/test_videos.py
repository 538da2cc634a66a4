"""A talking video costs credits: what is refused before it is sent, and how a lost one is found.

On virtual time, in process. What every fault of the wire comes to is in the matrix; which job
is taken among many is in `test_reconcile_videos.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from kling_async import (
    AsyncKlingClient,
    ContentModeratedError,
    CreateAvatarVideo,
    DeadlineExceededError,
    InvalidRequestError,
    OutcomeUnknownError,
    RetryPolicy,
    RunningTask,
    Task,
    UnexpectedResponseError,
)
from kling_async._transport.protocol import encode
from kling_async.emulator import EmulatedAccount, Emulator, Fault, sample_png
from kling_async.models.evidence import Known, decide
from kling_async.models.sightings import addresses
from kling_async.models.task_evidence import TaskEvidence

ADA, BEN = "ada@example.com", "ben@example.com"
FACE, SPEECH = "https://x.y/ada.png", "https://x.y/hello.mp3"
PNG, MP3 = sample_png(), b"ID3\x04\0\0" + b"\0" * 64
TALK = {"image_url": FACE, "audio_url": SPEECH}
VOICE = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"

Open = Callable[..., Awaitable[AsyncKlingClient]]


# --- what is refused --------------------------------------------------------------------------


def problems(**given: Any) -> dict[str, str]:
    try:
        CreateAvatarVideo(**given)
    except InvalidRequestError as error:
        return error.problems
    return {}


FACES: dict[str, Any] = {"avatar_id": "300137233318846", "image_url": FACE, "image": PNG}
SPEECHES: dict[str, Any] = {"text": "Hello!", "audio_url": SPEECH, "audio": MP3}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("speech", SPEECHES)
def test_each_face_goes_with_each_speech(face: str, speech: str) -> None:
    voice = {"speaker_id": VOICE} if speech == "text" else {}
    assert problems(**{face: FACES[face], speech: SPEECHES[speech]}, **voice) == {}


@pytest.mark.parametrize(
    "others", [["avatar_id", "image_url"], ["image_url", "image"], list(FACES)]
)
def test_one_face_only(others: list[str]) -> None:
    told = problems(**{name: FACES[name] for name in others}, audio_url=SPEECH)
    assert list(told) == ["avatar_id"]
    assert f"{' and '.join(others)} given" in told["avatar_id"]


@pytest.mark.parametrize("others", [["audio_url", "audio"], ["text", "audio"], list(SPEECHES)])
def test_one_speech_only(others: list[str]) -> None:
    voice = {"speaker_id": VOICE} if "text" in others else {}
    told = problems(**{name: SPEECHES[name] for name in others}, image_url=FACE, **voice)
    assert list(told) == ["text"]
    assert f"{' and '.join(others)} given" in told["text"]


def test_everything_that_is_missing_is_said_at_once() -> None:
    told = problems()
    assert "none given" in told["avatar_id"]
    assert "none given" in told["text"]


def test_a_text_needs_a_voice() -> None:
    assert "kling.tts.voices()" in problems(image_url=FACE, text="Hello!")["speaker_id"]
    assert "speaker_id" in problems(avatar_id="12345", text="Hello!")  # its own voice, too: trap 16


@pytest.mark.parametrize(
    ("name", "value"), [("speaker_id", VOICE), ("speed", 1.5), ("emotion", "happy")]
)
@pytest.mark.parametrize("speech", ["audio_url", "audio"])
def test_what_only_a_text_has_is_not_ignored(name: str, value: Any, speech: str) -> None:
    told = problems(image_url=FACE, **{speech: SPEECHES[speech], name: value})
    assert told == {name: "has a meaning only with text"}


def test_there_must_be_a_text_to_render() -> None:
    assert problems(**TALK, render_speech=True) == {"render_speech": "needs a text to speak"}
    assert "True or False" in problems(**TALK, render_speech="yes")["render_speech"]


GOOD: list[tuple[str, Any]] = [
    ("prompt", "x" * 2000),
    ("mode", "std"),
    ("mode", "pro"),
    *(("max_jobs", number) for number in (1, 50)),
    ("reply_url", "http://a/hook"),
    ("reply_url", "https://a.b/c?d=e"),
    ("reply_ref", "row 17"),
]
BAD: list[tuple[str, Any, str]] = [
    ("prompt", "x" * 2001, "at most 2000"),
    ("prompt", " ", "blank"),
    ("mode", "4k", "allowed are std, pro"),
    *(("max_jobs", number, "from 1 to 50") for number in (0, 51, True, "3", 1.5)),
    ("reply_url", "ftp://a/b", "not an http or https URL"),
    ("reply_url", "/hook", "not an http or https URL"),
    ("reply_ref", "", "blank"),
    ("reply_ref", 5, "must be text"),
    ("image_url", "data:image/png;base64,AA", "not an http or https URL"),
    ("audio_url", "file:///a.mp3", "not an http or https URL"),
]
OF_TEXT: list[tuple[str, Any, str]] = [
    ("text", "x" * 5001, "at most 5000"),
    ("text", "", "blank"),
    ("speaker_id", " ", "blank"),
    *(("speed", number, "from 0.8 to 2") for number in (0.79, 2.01, float("nan"), "1")),
    ("emotion", "bored", "allowed are neutral"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_is_allowed_at_its_edge(name: str, value: Any) -> None:
    assert problems(**{**TALK, name: value}) == {}


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_what_is_refused(name: str, value: Any, said: str) -> None:
    assert said in problems(**{**TALK, name: value})[name]


@pytest.mark.parametrize(("name", "value", "said"), OF_TEXT)
def test_what_is_refused_of_a_text(name: str, value: Any, said: str) -> None:
    spoken = {"image_url": FACE, "text": "x" * 5000, "speaker_id": VOICE}
    assert problems(**spoken) == {}
    assert said in problems(**{**spoken, name: value})[name]


@pytest.mark.parametrize(("name", "content"), [("image", MP3), ("audio", PNG), ("image", b"GIF8")])
def test_a_file_of_another_kind_is_refused(name: str, content: bytes) -> None:
    other = {"audio_url": SPEECH} if name == "image" else {"image_url": FACE}
    assert name in problems(**{name: content}, **other)


@pytest.mark.parametrize("avatar_id", ["x1", "", 300137233318846])
def test_an_avatars_id_is_a_string_of_digits(avatar_id: Any) -> None:
    assert "string of digits" in problems(avatar_id=avatar_id, audio_url=SPEECH)["avatar_id"]


def test_what_goes_out_by_addresses() -> None:
    out = encode(CreateAvatarVideo(**TALK), ADA)
    assert out.content == (
        b'{"imageUrl":"https://x.y/ada.png","audioUrl":"https://x.y/hello.mp3",'
        b'"email":"ada@example.com"}'
    )


def test_nothing_for_a_log_is_in_a_repr() -> None:
    shown = repr(CreateAvatarVideo(**TALK, reply_url="https://me/s3cr3t", reply_ref="r3f"))
    assert "s3cr3t" not in shown
    assert "r3f" not in shown


# --- whole calls ------------------------------------------------------------------------------

pytestmark = pytest.mark.looptime(resolution=1e-9)  # a pause has jitter


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(accounts=[EmulatedAccount(ADA), EmulatedAccount(BEN)], job_s=600)


@pytest.fixture
def kling_options() -> dict[str, Any]:
    return {"accounts": [ADA, BEN], "retry": RetryPolicy(reconcile_within_s=30)}


def sent(emulator: Emulator, operation: str = "avatars.video") -> list[dict[str, Any]]:
    """The fields of each request of an operation."""
    return [dict(one.fields or {}) for one in emulator.calls if one.operation == operation]


class TestPreparing:
    async def test_files_go_up_first_to_the_same_account(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        task = await kling.avatars.video(image=PNG, audio=MP3, email=BEN)
        assert [one.operation for one in emulator.calls] == [
            "assets.upload",
            "assets.upload",
            "avatars.video",
        ]
        assert [one.account for one in emulator.uploads] == [BEN, BEN]
        assert emulator.tasks[0].input_urls == tuple(one.url for one in emulator.uploads)
        assert (task.id, task.meta.account) == (emulator.tasks[0].id, BEN)

    async def test_an_avatar_knows_its_account(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        made = await kling.avatars.create(image_url=FACE, email=BEN)
        for avatar in (made, await kling.avatars.get(made)):
            task = await kling.avatars.video(avatar_id=avatar, audio_url=SPEECH)
            assert task.meta.account == BEN
        assert [one["avatarId"] for one in sent(emulator)] == [made.id, made.id]

    async def test_a_named_account_counts_before_the_avatars(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        made = await kling.avatars.create(image_url=FACE, email=BEN)
        with pytest.raises(Exception, match="not found"):
            await kling.avatars.video(avatar_id=made, audio_url=SPEECH, email=ADA)
        assert sent(emulator)[0]["email"] == ADA

    async def test_a_rendered_text_goes_out_as_audio(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        await kling.avatars.video(
            image_url=FACE,
            text="Hello!",
            speaker_id=VOICE,
            speed=1.5,
            emotion="happy",
            prompt="nod",
            render_speech=True,
            email=ADA,
        )
        assert sent(emulator, "tts.create") == [
            {"speakerId": VOICE, "text": "Hello!", "speed": 1.5, "emotion": "happy", "email": ADA}
        ]
        (video,) = sent(emulator)
        assert video.keys() == {"imageUrl", "audioUrl", "prompt", "replyRef", "email"}
        assert video["audioUrl"] == emulator.tasks[0].input_urls[1]

    async def test_speech_that_is_not_ready_is_not_paid_for(
        self, emulator: Emulator, open_client: Open
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            assert request.url.path.endswith("/tts/create")
            return httpx.Response(200, json={"status": 5, "status_name": "submitted"})

        kling = await open_client(transport=httpx.MockTransport(answer))
        with pytest.raises(UnexpectedResponseError, match="nothing was paid"):
            await kling.avatars.video(
                image_url=FACE, text="Hello!", speaker_id=VOICE, render_speech=True
            )

    async def test_what_is_wrong_is_said_before_anything_goes_up(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        with pytest.raises(InvalidRequestError):
            await kling.avatars.video(image=PNG, audio=MP3, mode="4k")  # type: ignore[arg-type]
        assert emulator.calls == []

    async def test_the_deadline_holds_for_all_of_it(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("assets.upload", "latency", delay_s=6)])
        hurried = kling.with_options(deadline_s=10)
        with pytest.raises(DeadlineExceededError):
            await hurried.avatars.video(image=PNG, audio=MP3, email=ADA)
        assert sent(emulator) == []


class TestMark:
    async def test_each_call_has_its_own_which_all_its_attempts_share(
        self, kling: AsyncKlingClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        emulator.add_faults([Fault("avatars.video", "no_slot", at=1)])
        for _ in range(2):
            await kling.avatars.video(**TALK, email=ADA)
        first, again, second = (one["replyRef"] for one in sent(emulator))
        assert first == again != second
        assert len(first) >= 32
        assert first not in caplog.text
        assert len(emulator.tasks) == 2

    async def test_a_request_that_is_sent_twice_has_two(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        request = CreateAvatarVideo(**TALK, email=ADA)
        await kling.send(request)
        await kling.send(request)
        assert len({one["replyRef"] for one in sent(emulator)}) == 2
        assert request.reply_ref is None

    async def test_the_callers_own_is_kept(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        await kling.avatars.video(**TALK, email=ADA, reply_ref="row 17")
        assert sent(emulator)[0]["replyRef"] == "row 17"


class TestLost:
    @pytest.fixture(autouse=True)
    def lost(self, emulator: Emulator) -> None:
        emulator.add_faults([Fault("avatars.video", "reset_after", at=1)])

    async def test_a_running_job_is_found_by_its_mark(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        task = await kling.avatars.video(**TALK, email=BEN)
        assert (task.meta.account, task.meta.adopted) == (BEN, True)
        assert [task.id] == [one.id for one in emulator.tasks]
        assert task.inputs  # all that GET /tasks/{id} tells
        assert len(sent(emulator)) == 1

    async def test_its_id_is_enough_while_nothing_more_is_known(self, open_client: Open) -> None:
        emulator = Emulator(
            job_s=600,
            task_visible_after_s=60,
            faults=[Fault("avatars.video", "reset_after", at=1)],
        )
        kling = await open_client(transport=emulator.transport())
        task = await kling.avatars.video(**TALK)
        assert task == Task(id=emulator.tasks[0].id)
        assert not task.is_final

    @pytest.mark.parametrize(
        "given",
        [
            {"image": PNG, "audio_url": SPEECH},
            {"image_url": FACE, "audio": MP3},
            {"image_url": FACE, "text": "Hi", "speaker_id": VOICE, "render_speech": True},
        ],
        ids=["image", "audio", "speech"],
    )
    @pytest.mark.parametrize("works_only", [False, True])
    async def test_a_job_that_is_over_is_found_by_an_address_of_its_own(
        self, open_client: Open, given: dict[str, Any], works_only: bool
    ) -> None:
        emulator = Emulator(
            job_s=0,
            history_works_only=works_only,
            faults=[Fault("avatars.video", "reset_after", at=3)],
        )
        kling = await open_client(transport=emulator.transport())
        for _ in range(2):  # others, of the same file and text
            await kling.avatars.video(**given)
        task = await kling.avatars.video(**given)
        assert task.meta.adopted
        assert task.id == emulator.tasks[-1].id
        assert task.succeeded
        assert emulator.counts["avatars.video"] == 3

    @pytest.mark.parametrize("rehosted", [False, True])
    async def test_one_that_nothing_tells_apart_is_shown_and_not_taken(
        self, open_client: Open, rehosted: bool
    ) -> None:
        emulator = Emulator(
            job_s=0, rehost_inputs=rehosted, faults=[Fault("avatars.video", "reset_after", at=1)]
        )
        kling = await open_client(
            transport=emulator.transport(), retry=RetryPolicy(reconcile_within_s=30)
        )
        given = {"image": PNG, "audio": MP3} if rehosted else TALK
        with pytest.raises(OutcomeUnknownError, match="1 that could be it") as caught:
            await kling.avatars.video(**given)
        assert "kling.scheduler.running()" in str(caught.value)
        assert [one.id for one in caught.value.candidates] == [emulator.tasks[0].id]
        assert caught.value.request.reply_ref == emulator.tasks[0].reply_ref
        assert caught.value.request.reply_ref not in str(caught.value)
        assert emulator.counts["avatars.video"] == 1

    async def test_a_mark_of_the_callers_own_is_no_proof(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        with pytest.raises(OutcomeUnknownError) as caught:
            await kling.avatars.video(**TALK, email=ADA, reply_ref="row 17")
        assert [one.id for one in caught.value.candidates] == [emulator.tasks[0].id]

    async def test_but_an_own_address_still_is(self, open_client: Open) -> None:
        emulator = Emulator(job_s=600, faults=[Fault("avatars.video", "reset_after", at=1)])
        kling = await open_client(transport=emulator.transport())
        task = await kling.avatars.video(image=PNG, audio_url=SPEECH, reply_ref="row 17")
        assert task.id == emulator.tasks[0].id

    async def test_0_is_not_at_all(self, kling: AsyncKlingClient, emulator: Emulator) -> None:
        once = kling.with_options(retry=RetryPolicy(reconcile_within_s=0))
        with pytest.raises(OutcomeUnknownError):
            await once.avatars.video(**TALK, email=ADA)
        assert emulator.counts["scheduler.running"] == emulator.counts["tasks.list"] == 0

    async def test_one_list_that_fails_leaves_the_other(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("scheduler.running", "status", status=400)])
        task = await kling.avatars.video(image=PNG, audio=MP3, email=ADA)
        assert task.id == emulator.tasks[0].id


class TestAnswers:
    @pytest.mark.parametrize("form", ["seconds", "date", "body", "none"])
    async def test_no_free_place_is_waited_for(
        self, kling: AsyncKlingClient, emulator: Emulator, form: str
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "no_slot", at=1, form=form)])
        task = await kling.avatars.video(**TALK, email=ADA)
        assert task.meta.attempts == 2
        assert [one.id for one in emulator.tasks] == [task.id]

    async def test_an_answer_without_an_id_is_no_answer(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "no_task_id", at=1)])
        task = await kling.avatars.video(**TALK, email=ADA)
        assert task.meta.adopted
        assert [one.id for one in emulator.tasks] == [task.id]

    async def test_nor_if_nothing_was_done(
        self, kling: AsyncKlingClient, emulator: Emulator
    ) -> None:
        emulator.add_faults([Fault("avatars.video", "no_task_id", at=1, before_work=True)])
        with pytest.raises(OutcomeUnknownError, match="nothing that could be it"):
            await kling.avatars.video(**TALK, email=ADA)
        assert len(sent(emulator)) == 1

    async def test_moderation_is_a_no(self, kling: AsyncKlingClient, emulator: Emulator) -> None:
        emulator.add_faults([Fault("avatars.video", "task_moderated", at=1, form="create")])
        with pytest.raises(ContentModeratedError):
            await kling.avatars.video(**TALK, email=ADA)
        assert len(sent(emulator)) == 1
        assert list(emulator.tasks) == []

    @pytest.mark.parametrize("kind", ["task_failed", "task_moderated", "task_lost"])
    async def test_what_becomes_of_the_job_is_not_the_creates_business(
        self, kling: AsyncKlingClient, emulator: Emulator, kind: str
    ) -> None:
        emulator.add_faults([Fault("avatars.video", kind, at=1)])
        assert (await kling.avatars.video(**TALK, email=ADA)).id == emulator.tasks[0].id


# --- what a listed thing says -----------------------------------------------------------------

START_S = 1_767_225_600.0
ITS = TaskEvidence()


class TestEvidence:
    def decided(self, listed: Any, *own: str, account: str | None = ADA, **given: Any) -> str:
        """Whether the listed thing is found, only possible, or neither."""
        request = CreateAvatarVideo(**{**TALK, "reply_ref": "ref", **given})
        sent = ITS.sent(
            request,
            account=account,
            own=[name for name in own if name != "reply_ref"],
            own_mark="reply_ref" in own,
            since_s=START_S,
        )
        decided = decide({1: sent}, [ITS.sighting(listed)], Known(now_s=START_S + 60))[1]
        if decided.found is not None:
            return "found"
        return "possible" if decided.candidates else "nothing"

    @pytest.mark.parametrize(
        ("email", "account", "expected"),
        [
            (ADA, ADA, "found"),
            ("ADA@example.com", ADA, "found"),
            (None, ADA, "found"),
            (BEN, None, "found"),  # the server chose
            (BEN, ADA, "possible"),
        ],
    )
    def test_a_mark_of_this_calls_own(
        self, email: str | None, account: str | None, expected: str
    ) -> None:
        one = RunningTask(id=1, email=email, reply_ref="ref", started="2020-01-01T00:00:00Z")
        assert self.decided(one, "reply_ref", account=account) == expected

    @pytest.mark.parametrize(
        ("email", "year", "expected"),
        [(ADA, 2026, "possible"), (ADA, 2025, "nothing"), (BEN, 2026, "nothing")],
    )
    def test_a_mark_of_the_callers(self, email: str, year: int, expected: str) -> None:
        started = f"{year}-01-01T00:00:00Z"
        one = RunningTask(id=1, email=email, reply_ref="ref", started=started)
        assert self.decided(one) == expected

    @pytest.mark.parametrize(("ref", "expected"), [("another", "nothing"), (None, "possible")])
    def test_another_mark_is_anothers_job(self, ref: str | None, expected: str) -> None:
        one = RunningTask(id=1, email=ADA, reply_ref=ref)
        assert self.decided(one, "reply_ref") == expected

    @pytest.mark.parametrize(
        ("own", "at_s", "expected"),
        [
            ("image_url", 1, "found"),
            ("audio_url", 1, "possible"),
            ("", 1, "possible"),
            ("image_url", None, "possible"),
            ("image_url", -601, "nothing"),
            ("image_url", 661, "nothing"),
        ],
    )
    def test_an_address(self, own: str, at_s: float | None, expected: str) -> None:
        at = {} if at_s is None else {"createTime": round((START_S + at_s) * 1000)}
        inputs = [{"url": "http://cdn/ada.png?x=1"}, {"url": None}, {"name": "image"}]
        listed = Task.from_api({"task": {"id": 1, **at, "taskInfo": {"inputs": inputs}}})
        assert self.decided(listed, own) == expected

    @pytest.mark.parametrize(
        ("shown", "expected"), [("Nods", "found"), ("", "found"), ("Sings", "possible")]
    )
    def test_a_prompt(self, shown: str, expected: str) -> None:
        info = {
            "inputs": [{"url": TALK["image_url"]}],
            "arguments": [{"name": "prompt", "value": shown}],
        }
        at_ms = round(START_S * 1000)
        listed = Task.from_api({"task": {"id": 1, "createTime": at_ms, "taskInfo": info}})
        assert self.decided(listed, "image_url", prompt="Nods") == expected

    def test_an_image_is_no_video(self) -> None:
        listed = Task.from_api({"works": [{"workId": 1, "taskId": 1, "contentType": "image"}]})
        assert self.decided(listed) == "nothing"

    @pytest.mark.parametrize("odd", [None, 5, {"inputs": 5}, {"inputs": [5, {"url": 5}]}])
    def test_works_that_tell_nothing(self, odd: Any) -> None:
        works = [{"workId": 1, "taskId": 1, "contentType": "video", "taskInfo": odd}]
        assert self.decided(Task.from_api({"works": works}), "image_url") == "possible"

    @pytest.mark.parametrize(
        ("started", "expected"),
        [
            ("2026-01-01T00:00:10Z", START_S + 10),
            ("2026-01-01T00:00:10", START_S + 10),
            ("2026-01-01T01:00:10+01:00", START_S + 10),
            ("soon", None),
            (None, None),
        ],
    )
    def test_when_it_was_started(self, started: str | None, expected: float | None) -> None:
        assert ITS.sighting(RunningTask(id=1, started=started)).made_at_s == expected

    def test_the_receivers_address_is_no_input(self) -> None:
        request = CreateAvatarVideo(**TALK, reply_url="https://x.y/secret")
        assert addresses(request).keys() == {"image_url", "audio_url"}
