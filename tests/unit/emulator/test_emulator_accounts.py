"""Tokens, accounts, voices, routes: what every request has to get past."""

from __future__ import annotations

import pytest

from kling_async.emulator import EmulatedAccount, Emulator

PICTURE = {"imageUrl": "https://pictures.example/ada.png"}
ROUTES = [
    ("POST", "/avatars"),
    ("GET", "/avatars"),
    ("DELETE", "/avatars/300137233318846"),
    ("POST", "/assets/"),
    ("GET", "/assets/uploaded/"),
    ("GET", "/tts/voices"),
    ("GET", "/accounts"),
    ("GET", "/accounts/demo@example.com"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_route_without_a_token(connect, method, path):
    emulator = Emulator()
    async with connect(emulator, headers={}) as client:
        reply = await client.request(method, path)
    assert reply.status_code == 401
    assert reply.content == b'{"error":"Unauthorized","code":401}'
    assert emulator.status_counts[emulator.calls[0].operation, 401] == 1


@pytest.mark.parametrize(
    ("configured", "header", "status"),
    [
        (None, "Bearer user:1-a", 200),
        (None, "bearer user:99999-AbC123", 200),
        (None, "Bearer user:1", 401),
        (None, "Bearer user:x-a", 401),
        (None, "Bearer user:1-", 401),
        (None, "Bearer user:1-a b", 401),
        (None, "Bearer 1-a", 401),
        (None, "user:1-a", 401),
        (None, "Basic user:1-a", 401),
        ("user:7-secret", "Bearer user:7-secret", 200),
        ("user:7-secret", "Bearer user:7-other", 401),
        ("anything", "Bearer anything", 200),
    ],
)
async def test_tokens(in_process, configured, header, status):
    emulator = Emulator(token=configured)
    async with in_process(emulator, headers={"Authorization": header}) as client:
        reply = await client.get("/accounts")
    assert reply.status_code == status


async def test_the_record_shows_no_token(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        await client.post("/avatars?x=1&x=2", json=PICTURE)
    (call,) = emulator.calls
    assert "abcdef" not in repr(call)
    assert "secured" in call.headers["authorization"]
    assert (call.number, call.operation, call.method) == (1, "avatars.create", "POST")
    assert (call.path, call.fields, call.status) == ("/v1/kling/avatars", PICTURE, 200)
    assert (call.account, call.fault, call.worked) == ("demo@example.com", None, True)
    assert call.body_size_bytes == len(call.body) > 0


async def test_accounts(connect):
    emulator = Emulator(accounts=["a@x.org", EmulatedAccount("b@x.org", max_jobs=20)])
    async with connect(emulator) as client:
        listed = (await client.get("/accounts")).json()
        one = (await client.get("/accounts/b@x.org")).json()
        quoted = await client.get("/accounts/b%40x.org/")
        unknown = await client.get("/accounts/c@x.org")
    assert list(listed) == ["a@x.org", "b@x.org"]
    assert [entry["maxJobs"] for entry in listed.values()] == [5, 20]
    assert {entry["password"] for entry in listed.values()} == {"…secured…"}
    assert set(listed["a@x.org"]["session"]) == {"userId", "ExpireTime", "ExpireTimeUTC"}
    assert "balance" not in listed["b@x.org"]
    assert one["email"] == "b@x.org"
    assert set(one["balance"]) == {"points", "tickets", "nextApplyTime", "total"}
    assert quoted.status_code == 200
    assert unknown.status_code == 404
    with pytest.raises(ValueError, match="Expecting value"):
        unknown.json()


async def test_no_account_at_all(connect):
    async with connect(Emulator(accounts=[])) as client:
        listed = await client.get("/accounts")
        avatars = await client.get("/avatars")
        named = await client.get("/avatars?email=a@x.org")
    assert listed.status_code == 404
    assert not listed.headers["content-type"].startswith("application/json")
    assert avatars.status_code == named.status_code == 404
    assert "error" in avatars.json()


@pytest.mark.parametrize("bad", [["a@x.org", "a@x.org"], ["nobody"], [""]])
def test_accounts_that_make_no_sense(bad):
    with pytest.raises(ValueError, match=r"twice|is not an e-mail address$"):
        Emulator(accounts=bad)


def test_a_single_account_may_be_named_as_it_is():
    assert [one.email for one in Emulator(accounts="a@x.org").accounts] == ["a@x.org"]


@pytest.mark.parametrize("max_jobs", [0, 51])
def test_max_jobs_has_limits(max_jobs):
    with pytest.raises(ValueError, match="max_jobs"):
        EmulatedAccount("a@x.org", max_jobs=max_jobs)


@pytest.mark.parametrize("accounts", [["a@x.org"], ["a@x.org", "b@x.org"]])
async def test_email_is_optional_with_one_account(connect, accounts):
    single = len(accounts) == 1
    async with connect(Emulator(accounts=accounts)) as client:
        create = await client.post("/avatars", json=PICTURE)
        named = await client.post("/avatars", json={**PICTURE, "email": "a@x.org"})
        in_query = await client.post("/avatars?email=a@x.org", json=PICTURE)
        listing = await client.get("/avatars")
        listed = await client.get("/avatars?email=a@x.org")
        unknown = await client.get("/avatars?email=c@x.org")
        blank = await client.get("/avatars?email=")
        unknown_create = await client.post("/avatars", json={**PICTURE, "email": "c@x.org"})
        upload = await client.post("/assets/", content=b"x", headers={"Content-Type": "image/png"})
        odd = await client.post("/avatars", json={**PICTURE, "email": 5})
    assert create.status_code == in_query.status_code == (200 if single else 400)
    assert listing.status_code == blank.status_code == (200 if single else 400)
    if not single:
        assert "email" in create.json()["error"]
        assert "email" in upload.json()["error"]
    assert named.status_code == listed.status_code == 200
    assert unknown.status_code == unknown_create.status_code == 404
    assert set(unknown.json()) == {"error"}
    assert odd.status_code == 400


async def test_a_raw_plus_in_the_query_is_a_space(connect):
    async with connect(Emulator(accounts=["a+b@x.org"])) as client:
        raw = await client.get("/avatars?email=a+b@x.org")
        quoted = await client.get("/avatars?email=a%2Bb%40x.org")
    assert (raw.status_code, quoted.status_code) == (404, 200)


async def test_voices(connect):
    async with connect(Emulator()) as client:
        answer = (await client.get("/tts/voices")).json()
        sample = await client.get(answer["ttsList"][0]["exampleUrl"])
    voices = answer["ttsList"]
    assert set(answer) == {"ttsList", "lastSpeakerId", "typeList"}
    assert len(voices) >= 6
    assert len({voice["speakerId"] for voice in voices}) == len(voices)
    assert all(voice["speakerId"].startswith("moss_audio_") for voice in voices)
    assert any(voice["emotions"] == [] for voice in voices)
    emotions = [emotion for voice in voices for emotion in voice["emotions"]]
    assert all(set(emotion) == {"name", "key", "enable"} for emotion in emotions)
    assert {emotion["enable"] for emotion in emotions} == {True, False}
    assert sample.content.startswith(b"RIFF")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/avatars", 405, "GET, HEAD, POST"),
        ("DELETE", "/avatars", 405, "GET, HEAD, POST"),
        ("GET", "/avatars/300137233318846", 405, "DELETE"),
        ("OPTIONS", "/tts/voices", 405, "GET, HEAD"),
        ("PROPFIND", "/accounts", 405, "GET, HEAD, POST"),
        ("GET", "/avatar", 404, None),
        ("GET", "/avatars//", 404, None),
        ("GET", "/", 404, None),
    ],
)
async def test_other_routes_and_methods(connect, method, path, status, allow):
    emulator = Emulator()
    async with connect(emulator) as client:
        reply = await client.request(method, path)
    assert reply.status_code == status
    assert reply.headers.get("allow") == allow
    assert "error" in reply.json()
    assert emulator.counts == {"unknown": 1}


async def test_outside_the_api(connect):
    async with connect(Emulator(), headers={}) as client:
        reply = await client.get(client.base_url.copy_with(path="/v2/kling/avatars"))
    assert reply.status_code == 404


async def test_head_is_get_without_a_body(connect):
    async with connect(Emulator()) as client:
        head = await client.head("/tts/voices")
        full = await client.get("/tts/voices")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(full.content))


async def test_every_reply_has_a_date(connect):
    async with connect(Emulator()) as client:
        reply = await client.get("/avatars")
    assert reply.headers["date"].endswith(" GMT")


async def test_kept_records_are_limited_and_counts_exact(in_process):
    emulator = Emulator(record_calls=3)
    silent = Emulator(record_calls=False)
    for one in (emulator, silent):
        async with in_process(one) as client:
            for _ in range(10):
                await client.get("/avatars")
    assert [call.number for call in emulator.calls] == [8, 9, 10]
    assert silent.calls == []
    assert emulator.counts["avatars.list"] == silent.counts["avatars.list"] == 10
    assert silent.status_counts["avatars.list", 200] == 10
