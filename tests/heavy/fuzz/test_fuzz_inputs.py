"""Files, dates and callbacks of any bytes: what is wrong is said, and nothing else comes of it."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest
from fuzzing import ODD_JSON, TOKEN, bodies, came_to, damaged, examples
from hypothesis import given
from hypothesis import strategies as st

from kling_async import CreateAvatar, InvalidRequestError, KlingError, UploadAsset, WebhookReceiver
from kling_async._files.names import served_name
from kling_async._transport.retry_after import retry_after_s
from kling_async.bulk.inputs import read_rows
from kling_async.bulk.recipes import recipe_of
from kling_async.emulator import sample_png

SEEDS = st.integers(0, 2**32)
RECIPE = recipe_of(CreateAvatar)
FILES = {
    ".csv": b'key,image_url,nickname,x_own,tts_speed\n1,https://k/a.png,"A ""b""\nc",z,1.5\n'
            b"2,https://k/b.png,B,,0.8\n",
    ".tsv": b"key\timage_url\tnickname\n1\thttps://k/a.png\tAda\n",
    ".jsonl": b'{"key": "1", "image_url": "https://k/a.png", "tts_speed": 1.5, "extra": {}}\n'
              b'{"image": "a.png", "email": "a@b.c"}\n',
}  # fmt: skip


@pytest.mark.parametrize("ending", sorted(FILES))
@given(data=st.data())
@examples(2)
def test_any_bytes_of_an_input(ending: str, data: st.DataObject, tmp_path: Path) -> None:
    content = FILES[ending]
    if ending == ".jsonl" and data.draw(st.booleans()):
        content = data.draw(bodies(json.loads(content.splitlines()[0])))
    content = damaged(content, data.draw(SEEDS))
    path = tmp_path / f"in{ending}"
    path.write_bytes(content)
    try:
        rows = list(read_rows(path, RECIPE))
    except KlingError as error:
        came_to(error)
        str(error).encode()
        return
    came_to(rows)
    for row in rows:
        json.dumps([row.key, *map(str, row.problems)]).encode()


HEADS = [
    sample_png(), b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(9) + b"\xff\xc0\0\x11\x08\1\x2c\1\x2c\3",
    b"\0\0\0\x18ftypmp42\0\0\0\0isom\0\0\0\x20moov\0\0\0\x18hdlr\0\0\0\0\0\0\0\0soun",
    b"\0\0\0\1ftyp" + b"\xff" * 60, b"RIFF\xff\xff\xff\xffWAVE", b"ID3\4\0\0", b"\xff\xfb\x90\x64",
]  # fmt: skip


@given(st.sampled_from(HEADS), SEEDS, st.sampled_from([CreateAvatar, UploadAsset]))
@examples(10)
def test_any_bytes_of_a_file(head: bytes, seed: int, cls: type) -> None:
    name = "image" if cls is CreateAvatar else "file"
    try:
        came_to(cls(**{name: damaged(head, seed)}))
    except InvalidRequestError as error:
        came_to(error)


MOMENTS = st.one_of(
    st.text(max_size=40), st.floats().map(str), st.integers().map(str),
    st.builds(
        lambda one, seed: damaged(one, seed).decode("latin-1"),
        st.sampled_from([b"Wed, 21 Oct 2026 07:28:00 GMT", b"Wed Oct 21 07:28:00 2026",
                         b"Wednesday, 21-Oct-26 07:28:00 GMT", b"2026-10-21T07:28:00.000Z"]),
        SEEDS,
    ),
)  # fmt: skip


@given(MOMENTS, MOMENTS, st.one_of(MOMENTS, ODD_JSON))
@examples(20)
def test_any_time_to_wait(after: str, date: str, stated: object) -> None:
    for headers in ({"retry-after": after, "date": date}, {"date": date}):
        seconds = retry_after_s(headers, {"retryAfter": stated}, 1_784_000_000.0)  # type: ignore[dict-item]
        came_to(seconds)
        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(MOMENTS, MOMENTS)
@examples(10)
def test_any_name_of_a_file(disposition: str, path: str) -> None:
    for given_name in (f"attachment; filename={disposition}", f"x; filename*=utf-8''{disposition}"):
        name = served_name(given_name, "https://k/" + path.replace("[", ""))
        came_to(name)
        assert name is None or (Path(name).name == name and len(name.encode()) <= 255)


class NobodyWaits:
    def hint(self, task_id: int) -> bool:
        assert task_id > 0
        return task_id % 2 == 0


RECORD = {"status": 99, "task": {"id": 42, "taskInfo": {"inputs": []}}, "works": [{"taskId": 42}],
          "replyRef": TOKEN}  # fmt: skip


@given(bodies(RECORD))
@examples(10)
def test_any_callback(body: bytes) -> None:
    async def received() -> object:
        return WebhookReceiver().receive(body, NobodyWaits()).outcome

    came_to(asyncio.run(received()))
