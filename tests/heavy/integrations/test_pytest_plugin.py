"""Do the fixtures that we ship work in somebody else's suite, with nothing but one line?"""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import asyncio
import json
from urllib.request import Request, urlopen

import pytest
from kling_async import KlingError, RetryPolicy
from kling_async.emulator import Fault

@pytest.mark.asyncio
async def test_in_process(kling_client, kling_emulator):
    avatar = await kling_client.avatars.create(image_url="https://x.y/a.png")
    assert [one.id for one in kling_emulator.avatars] == [avatar.id]

def test_without_any_plugin(kling_client, kling_emulator):
    async def work():
        async with kling_client as kling:
            return await kling.accounts.list()
    assert len(asyncio.run(work())) == 1
    assert kling_emulator.avatars == []  # each test has its own

def test_on_a_socket(kling_emulator_url, kling_emulator):
    headers = {"Authorization": "Bearer user:1-mine"}
    with urlopen(Request(kling_emulator_url + "/accounts", headers=headers)) as answer:
        assert list(json.load(answer)) == ["demo@example.com"]
    assert kling_emulator.counts["accounts.list"] == 1

class TestTrouble:
    @pytest.fixture
    def kling_emulator_options(self):
        return {"accounts": ["a@b.c", "d@e.f"], "faults": [Fault("avatars.create", "reset_after")]}

    @pytest.fixture
    def kling_client_options(self):
        return {"retry": RetryPolicy(attempts=1, reconcile_within_s=0)}

    @pytest.mark.asyncio
    async def test_it_is_met(self, kling_client, kling_emulator):
        with pytest.raises(KlingError):
            await kling_client.avatars.create(image_url="https://x.y/a.png", email="a@b.c")
        assert len(kling_emulator.avatars) == 1
"""


def test_the_fixtures_serve_a_suite_of_its_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLING_ACCOUNTS", "somebody@else.example")
    pytester.makeconftest('pytest_plugins = ["kling_async.pytest_plugin"]')
    pytester.makepyfile(SUITE)
    scope = "asyncio_default_fixture_loop_scope=function"
    done = pytester.runpytest_subprocess("-q", "-W", "error", "-p", "no:cacheprovider", "-o", scope)
    done.assert_outcomes(passed=4)


def test_nothing_is_loaded_where_it_is_not_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\ndef test_it():\n    assert not any('kling' in one for one in sys.modules)"
    )
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
