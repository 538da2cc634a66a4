"""POST and DELETE /accounts: adding, updating, checking and removing; and no password anywhere."""

from __future__ import annotations

import pytest

from kling_async.emulator import EmulatedAccount, Emulator, Fault

ADA = {"email": "ada@x.org", "password": "hunter2", "maxJobs": 7}
TRIO = {"passToken": "tok3n", "did": "d1", "userId": "u1"}


async def test_adding_an_account(connect):
    emulator = Emulator(accounts=[])
    async with connect(emulator) as client:
        reply = await client.post("/accounts", json={**ADA, **TRIO})
        listed = (await client.get("/accounts")).json()
        used = await client.get("/avatars")
    assert reply.status_code == 201
    entry = reply.json()
    assert set(entry) == {"email", "session", "maxJobs", "password"}
    assert (entry["email"], entry["maxJobs"], entry["password"]) == (
        "ada@x.org",
        7,
        "…secured…",
    )
    assert list(listed) == ["ada@x.org"]
    assert used.status_code == 200
    assert [account.max_jobs for account in emulator.accounts] == [7]


async def test_updating_an_account(connect):
    emulator = Emulator([EmulatedAccount("ada@x.org", password="hunter2"), "b@x.org"])
    async with connect(emulator) as client:
        form = {name: str(value) for name, value in ADA.items()}
        updated = await client.post("/accounts/", data={**form, "dryRun": "false"})
        wrong = await client.post("/accounts", json={**ADA, "password": "hunter3", "maxJobs": 9})
    assert updated.status_code == 201
    assert wrong.status_code == 400
    assert set(wrong.json()) == {"error"}
    assert [account.max_jobs for account in emulator.accounts] == [7, 5]


@pytest.mark.parametrize("dry_run", [True, "true"])
async def test_a_dry_run_stores_nothing(connect, dry_run):
    emulator = Emulator([EmulatedAccount("known@x.org", password="right")])
    async with connect(emulator) as client:
        new = await client.post("/accounts", json={**ADA, "dryRun": dry_run})
        known = {**ADA, "email": "known@x.org", "dryRun": dry_run}
        right = await client.post("/accounts", json={**known, "password": "right"})
        wrong = await client.post("/accounts", json=known)
    assert new.status_code == right.status_code == 200
    assert new.json()["maxJobs"] == 7
    assert wrong.status_code == 400
    assert [(one.email, one.max_jobs) for one in emulator.accounts] == [("known@x.org", 5)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"email": ""}, "email is required"),
        ({"email": "ada"}, "Parameter email (ada) has incorrect format"),
        ({"password": None}, "password is required"),
        ({"password": 5}, "Parameter password (5) has incorrect format"),
        ({"maxJobs": None}, "maxJobs is required"),
        ({"maxJobs": 0}, "Parameter maxJobs (0) has incorrect format"),
        ({"maxJobs": 51}, "Parameter maxJobs (51) has incorrect format"),
        ({"passToken": "x"}, "all together"),
        ({"did": "x", "userId": "y"}, "all together"),
        ({"dryRun": "perhaps"}, "Parameter dryRun (perhaps) has incorrect format"),
        ({"dryRun": 1}, "Parameter dryRun (1) has incorrect format"),
    ],
)
async def test_refusals(in_process, changes, said):
    emulator = Emulator(accounts=[])
    async with in_process(emulator) as client:
        reply = await client.post("/accounts", json={**ADA, **changes})
    assert reply.status_code == 400
    assert said in reply.json()["error"]
    assert emulator.accounts == []


async def test_a_missing_subscription(connect):
    emulator = Emulator(faults=[Fault("accounts.add", "status", status=402, account="ada@x.org")])
    async with connect(emulator) as client:
        reply = await client.post("/accounts", json=ADA)
    assert (reply.status_code, reply.json()) == (
        402,
        {"error": "Subscription required", "code": 402},
    )


async def test_removing_an_account(connect):
    emulator = Emulator(["ada@x.org", "b+c@x.org"])
    async with connect(emulator) as client:
        gone = await client.delete("/accounts/b%2Bc%40x.org")
        again = await client.delete("/accounts/b%2Bc%40x.org")
        last = await client.delete("/accounts/ada@x.org/")
        listed = await client.get("/accounts")
    assert (gone.status_code, gone.content) == (204, b"")
    assert last.status_code == 204
    assert again.status_code == listed.status_code == 404
    assert emulator.accounts == []
    emulator.reset()
    assert len(emulator.accounts) == 2


async def test_no_password_is_kept_anywhere(connect):
    emulator = Emulator(["b@x.org"])
    async with connect(emulator) as client:
        await client.post("/accounts", json={**ADA, **TRIO})
        await client.post("/accounts", data={**ADA, **TRIO})
        await client.post("/accounts", content=b'{"password": "hunter2"')
        page = client.base_url.copy_with(path="/_emulator/state")
        state = (await client.get(page)).text
    told = f"{state}{emulator.calls}{[call.body for call in emulator.calls]}{emulator.accounts}"
    assert "ada@x.org" in told
    for secret in ("hunter2", "tok3n"):
        assert secret not in told
    assert emulator.calls[0].body_size_bytes > 0
    assert emulator.calls[0].fields["password"] == "…secured…"


async def test_credits_leave_the_balance(in_process):
    emulator = Emulator()
    heard = {"imageUrl": "https://p.example/a.png", "audioUrl": "https://p.example/a.mp3"}
    async with in_process(emulator) as client:
        balances = []
        for mode in ("std", "pro", None):
            account = (await client.get("/accounts/demo@example.com")).json()
            balances.append(account["balance"]["total"])
            await client.post("/avatars/video", json={**heard, "mode": mode})
    spent = [100 * task.credits for task in emulator.tasks]  # the balance is in hundredths
    assert [balances[0] - balances[1], balances[1] - balances[2]] == spent[:2]
    assert spent[0] == spent[2] < spent[1]
