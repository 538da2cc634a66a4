"""Does /openapi.json say what the emulator takes?"""

from __future__ import annotations

import pytest

from kling_async.emulator import Emulator, openapi
from kling_async.emulator.inspection import ENDPOINTS
from kling_async.emulator.operations import OPERATIONS


async def test_it_is_served_to_anybody_and_not_counted(connect):
    emulator = Emulator(token="user:1-other")
    async with connect(emulator) as client:
        where = str(client.base_url.copy_with(path="/openapi.json"))
        reply = await client.get(where, headers={"Authorization": ""})
        refused = await client.post(where, headers={"Authorization": ""})
    assert reply.json() == openapi.document()
    assert refused.status_code == 404
    assert len(emulator.calls) == 0


def test_it_has_all_operations():
    paths = openapi.document()["paths"]
    shown = [one["operationId"] for methods in paths.values() for one in methods.values()]
    own = [f"emulator.{method.lower()}_{page}" for method, page in ENDPOINTS]
    assert sorted(shown) == sorted([*own, *(one.name for one in OPERATIONS)])
    assert paths["/_emulator/faults"]["post"]["requestBody"]["content"]["application/json"]
    assert "requestBody" not in paths["/_emulator/state"]["get"]
    assert paths["/v1/kling/avatars/{id}"]["delete"]["parameters"] == [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "email", "in": "query", "required": False, "schema": {"type": "string"}},
    ]


def fields(path: str) -> dict:
    content = openapi.document()["paths"][path]["post"]["requestBody"]["content"]
    return content["application/json"]["schema"]


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [("aspect_ratio", "16:9", "2:1"), ("duration", 3, 31), ("cfg_scale", 1, 1.1)],
)
async def test_what_it_says_of_a_job_is_what_is_refused(connect, name, inside, outside):
    said = fields("/v1/kling/videos/text2video")["properties"][name]
    allowed = said.get("enum", [said.get("minimum"), said.get("maximum")])
    assert inside in allowed
    assert outside not in allowed
    job = {"prompt": "A cat", "model_name": "kling-v3-0"}
    async with connect(Emulator()) as client:
        statuses = [
            (await client.post("/videos/text2video", json={**job, name: value})).status_code
            for value in (inside, outside)
        ]
    assert statuses == [200, 400]


def test_bodies_that_are_read_by_code_are_said_to_be_objects_only():
    assert fields("/v1/kling/avatars") == {"type": "object"}
    document = openapi.document()
    assert document["paths"]["/v1/kling/assets"]["post"]["requestBody"]["content"] == {"*/*": {}}
