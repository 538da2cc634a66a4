"""A second answer on a kept connection; a client that trusts it takes it for its own."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from kling_async.emulator import Emulator, Fault, format_fault, parse_faults

PICTURE = {"imageUrl": "https://pictures.example/ada.png"}


class Trusting:
    """One connection, read as a careless client reads it: the next answer is mine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connected(cls, base_url: str) -> Trusting:
        url = httpx.URL(base_url)
        return cls(*await asyncio.open_connection(url.host, url.port))

    async def create(self) -> str:
        body = b'{"imageUrl": "https://pictures.example/ada.png"}'
        self._writer.write(
            b"POST /v1/kling/avatars HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer user:1-a\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        return await self.answer()

    async def answer(self) -> str:
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 30)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
        return (await asyncio.wait_for(self._reader.readexactly(length), 30)).decode()

    def close(self) -> None:
        self._writer.close()


@pytest.mark.parametrize("after_s", [0, 0.02])
async def test_the_next_call_meets_an_id_of_nothing(after_s):
    emulator = Emulator(faults=[Fault("avatars.create", "surplus", at=1, after_s=after_s)])
    async with emulator.serve() as base_url:
        client = await Trusting.connected(base_url)
        first = await client.create()
        await asyncio.sleep(after_s * 3)
        second, third = await client.create(), await client.answer()
        client.close()
    made = [one.id for one in emulator.avatars]
    assert (made[0] in first, made[1] in third) == (True, True)
    assert second == first.replace(f'"{made[0][0]}', '"7', 1)
    assert len(made) == 2
    assert emulator.unconsumed_faults() == []


@pytest.mark.parametrize(
    ("settings", "extra"),
    [({"form": "repeated"}, None), ({"body": '{"id": "1", "status": "SUCCESS"}'}, '{"id": "1",')],
)
async def test_the_same_again_or_word_for_word(settings, extra):
    emulator = Emulator(faults=[Fault("avatars.create", "surplus", **settings)])
    async with emulator.serve() as base_url:
        client = await Trusting.connected(base_url)
        first, second = await client.create(), await client.answer()
        client.close()
    assert second == first if extra is None else second.startswith(extra)


async def test_ids_of_tasks_are_of_nothing_too():
    emulator = Emulator(faults=[Fault("videos.text2video", "surplus")])
    body = b'{"prompt":"a kite"}'
    async with emulator.serve() as base_url:
        url = httpx.URL(base_url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            b"POST /v1/kling/videos/text2video HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer user:1-a\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        client = Trusting(reader, writer)
        first, second = await client.answer(), await client.answer()
        client.close()
    number = str(emulator.tasks[0].id)
    assert f'"id":{number},' in first
    assert f'"id":7{number[1:]},' in second


async def test_a_client_that_has_gone_is_no_trouble():
    emulator = Emulator(faults=[Fault("avatars.create", "surplus", after_s=0.01)])
    async with emulator.serve() as base_url:
        client = await Trusting.connected(base_url)
        await client.create()
        client.close()
        await asyncio.sleep(0.03)
    assert len(emulator.avatars) == 1


async def test_there_is_none_without_a_socket(in_process):
    emulator = Emulator(faults=[Fault("avatars.create", "surplus")])
    async with in_process(emulator) as client:
        replies = [(await client.post("/avatars", json=PICTURE)).json() for _ in range(2)]
    assert [one["id"] for one in replies] == [one.id for one in emulator.avatars]


@pytest.mark.parametrize(
    "text",
    [
        "avatars.create:surplus@every=3",
        "avatars.list:surplus=repeated,after_s=0.5@at=1",
    ],
)
def test_in_one_line_of_text(text):
    (fault,) = parse_faults(text)
    assert format_fault(fault) == text
