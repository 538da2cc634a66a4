"""Is a bad input or set-up refused with code 2, its place and a remedy, before anything is sent?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import in_ledger

from kling_async.bulk.sqlite import open_ledger
from kling_async.emulator import Emulator, sample_png

LEDGER = Path("avatars.sqlite")
URL = "https://example.com/1.png"


def state_of_ledger() -> Any:
    if not LEDGER.exists():
        return None
    return list(in_ledger(LEDGER).values())


BAD = {
    "unknown column": ("image_url,tempo\nx,1\n", "in.csv, line 1, column tempo: "),
    "no header": (f"{URL},Ada\n", f"in.csv, line 1: '{URL}, Ada' is no header"),
    "empty": ("", "in.csv: is empty"),
    "no rows": ("image_url\n", "in.csv: has no rows"),
    "speed": (f"image_url,tts_speed\n{URL},1\n{URL},3\n", "in.csv, line 3, column tts_speed: "),
    "no number": (f"image_url,tts_speed\n{URL},fast\n", "in.csv, line 2, column tts_speed: "),
    "emotion": (f"image_url,tts_emotion\n{URL},bored\n", "in.csv, line 2, column tts_emotion: "),
    "scene": (f"image_url,scene\n{URL},beach\n", "in.csv, line 2, column scene: "),
    "nickname": (f"image_url,nickname\n{URL},{'n' * 31}\n", "in.csv, line 2, column nickname: "),
    "prompt": (f"image_url,prompt\n{URL},{'p' * 2001}\n", "in.csv, line 2, column prompt: "),
    "address": ("image_url\nftp://example.com/a.png\n", "in.csv, line 2, column image_url: "),
    "account": (f"image_url,account\n{URL},nobody\n", "in.csv, line 2, column account: "),
    "missing file": ("image\ngone.png\n", "in.csv, line 2, column image: "),
    "no picture": ("image\nin.csv\n", "in.csv, line 2, column image: "),
    "small picture": ("image\nsmall.png\n", "in.csv, line 2, column image: "),
    "no image": ("image,nickname\n,Ada\n", "in.csv, line 2, column image: "),
    "both images": (f"image,image_url\ngood.png,{URL}\n", "in.csv, line 2, column image: "),
    "key twice": (f"key,image_url\na,{URL}\nb,{URL}\na,{URL}\n", "in.csv, line 4, column key: "),
    "too many cells": (f"image_url,nickname\n{URL},Ada,Lovelace\n", "in.csv, line 2: "),
    "open quote": (f'image_url,nickname\n{URL},"Ada\n', "in.csv, line 2: "),
    "not UTF-8": (b"image_url,nickname\n" + URL.encode() + b",Zo\xeb\n", "in.csv, line 2: "),
    "UTF-16": ("image_url\n".encode("utf-16"), "in.csv: is UTF-16"),
}


@pytest.mark.parametrize("dry_run", [False, True], ids=["run", "dry-run"])
@pytest.mark.parametrize(("content", "place"), BAD.values(), ids=BAD)
def test_bad_input(
    invoke: Callable[..., Any],
    folder: Path,
    service: Any,
    emulator: Emulator,
    content: str | bytes,
    place: str,
    dry_run: bool,
) -> None:
    (folder / "good.png").write_bytes(sample_png())
    (folder / "small.png").write_bytes(sample_png(width=200))
    Path("in.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    flags = ["--dry-run"] if dry_run else []
    done = invoke("bulk", "run", "in.csv", "--ledger", LEDGER, *flags)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"kling-async: {place}")
    assert "Nothing was sent." in done.stderr
    assert done.stdout == ""
    assert emulator.calls == []
    assert not LEDGER.exists()


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"image_url": \n', "in.jsonl, line 1: "),
        ("[]\n", "in.jsonl, line 1: "),
        (f'{{"image_url": "{URL}"}}\n{{"image_url": 7}}\n', "in.jsonl, line 2, column image_url: "),
        (f'{{"image_url": "{URL}", "tts_sped": 1}}\n', "in.jsonl, line 1, column tts_sped: "),
    ],
)
def test_bad_json_lines(
    invoke: Callable[..., Any], service: Any, emulator: Emulator, content: str, place: str
) -> None:
    Path("in.jsonl").write_text(content)
    done = invoke("bulk", "run", "in.jsonl", "--ledger", LEDGER)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"kling-async: {place}")
    assert emulator.calls == []
    assert not LEDGER.exists()


def test_all_faults_come_at_once(invoke: Callable[..., Any], service: Any) -> None:
    Path("in.csv").write_text(f"image_url,tts_speed,scene\n{URL},9,beach\n{URL},1,\nx,1,\n")
    done = invoke("bulk", "run", "in.csv", "--ledger", LEDGER)
    assert done.exit_code == 2
    for place in ("line 2, column tts_speed", "line 2, column scene", "line 4, column image_url"):
        assert f"in.csv, {place}: " in done.stderr


@pytest.mark.parametrize("name", ["gone.csv", "in.xlsx", "."])
def test_no_such_input(invoke: Callable[..., Any], service: Any, name: str) -> None:
    done = invoke("bulk", "run", name, "--ledger", LEDGER)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"kling-async: {name}")
    assert not LEDGER.exists()


class TestDryRun:
    CLARA = "moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20"  # speaks with every emotion
    MEI = "moss_audio_c7e03f54-7d3b-11f0-b6d9-0c71e8a4952d"  # neither angry nor surprised

    def written(self, *rows: str) -> str:
        lines = [f"{URL},{row}" for row in rows]
        Path("in.csv").write_text("\n".join(["image_url,tts_speaker,tts_emotion", *lines]) + "\n")
        return "in.csv"

    @pytest.mark.parametrize("flags", [[], ["--emulator"]])
    def test_a_good_one_sends_no_create(
        self, invoke: Callable[..., Any], service: Any, emulator: Emulator, flags: list[str]
    ) -> None:
        path = self.written(f"{self.CLARA},angry", f"{self.MEI},happy", ",angry", ",")
        done = invoke("bulk", "run", path, "--ledger", LEDGER, "--dry-run", *flags)
        assert done.exit_code == 0, done.stderr
        assert "4 rows of in.csv are fine" in done.stdout
        assert "2 voices checked" in done.stdout
        assert {one.method for one in emulator.calls} <= {"GET"}
        assert not LEDGER.exists()

    @pytest.mark.parametrize(
        ("cells", "column", "said"),
        [
            ("moss_audio_nobody,", "tts_speaker", "there is no such voice"),
            (f"{MEI},angry", "tts_emotion", "can do neutral, happy, sad"),
        ],
    )
    def test_a_voice_that_is_not_there_or_can_not(
        self,
        invoke: Callable[..., Any],
        service: Any,
        emulator: Emulator,
        cells: str,
        column: str,
        said: str,
    ) -> None:
        path = self.written(f"{self.CLARA},angry", cells)
        done = invoke("bulk", "run", path, "--ledger", LEDGER, "--dry-run")
        assert done.exit_code == 2
        assert done.stderr.startswith(f"kling-async: in.csv, line 3, column {column}: ")
        assert said in done.stderr
        assert {one.operation for one in emulator.calls} <= {"tts.voices", "avatars.list"}
        assert not LEDGER.exists()

    def test_leaves_a_ledger_as_it_is(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
    ) -> None:
        words = ["bulk", "run", url_csv(3), "--ledger", LEDGER, "--rate", "none"]
        assert invoke(*words).exit_code == 0
        before = state_of_ledger()
        assert invoke("bulk", "run", url_csv(5), *words[3:], "--dry-run").exit_code == 0
        assert state_of_ledger() == before
        assert len(service.creates) == 3


class TestAnotherInput:
    @pytest.fixture
    def words(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
    ) -> list[Any]:
        """A command that has run."""
        words = ["bulk", "run", url_csv(5), "--ledger", LEDGER, "--rate", "none"]
        assert invoke(*words).exit_code == 0
        return words

    @pytest.mark.parametrize("flags", [[], ["--dry-run"]])
    @pytest.mark.parametrize("change", ["other keys", "a row is gone", "a row is another"])
    def test_is_refused(
        self,
        invoke: Callable[..., Any],
        url_csv: Callable[..., Path],
        service: Any,
        words: list[Any],
        change: str,
        flags: list[str],
    ) -> None:
        before = state_of_ledger()
        if change == "other keys":
            words[2].write_text(f"key,image_url\nzoe,{URL}\n")
            said = "the ledger has 5 rows that this input lacks"
        elif change == "a row is gone":
            url_csv(4)
            said = "the ledger has 1 row that this input lacks"
        else:
            words[2].write_text(words[2].read_text().replace(",k3", ",Another"))
            said = "in.csv, line 4: this row (key 'k3') was different"
        done = invoke(*words, *flags)
        assert done.exit_code == 2
        assert said in done.stderr
        assert "use another --ledger" in done.stderr
        assert len(service.creates) == 5
        assert state_of_ledger() == before

    def test_a_ledger_of_the_emulator_serves_no_real_run(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
    ) -> None:
        words = ["bulk", "run", url_csv(5), "--ledger", LEDGER, "--rate", "none"]
        assert invoke(*words, "--emulator").exit_code == 0
        before = state_of_ledger()
        done = invoke(*words)
        assert done.exit_code == 2
        assert "belongs to a run against the built-in emulator" in done.stderr
        assert "another ledger" in done.stderr
        assert service.creates == []
        assert state_of_ledger() == before

    def test_a_ledger_of_a_real_run_serves_no_emulator(
        self, invoke: Callable[..., Any], words: list[Any]
    ) -> None:
        before = state_of_ledger()
        done = invoke(*words, "--emulator")
        assert done.exit_code == 2
        assert "belongs to a run against a server on this machine" in done.stderr
        assert state_of_ledger() == before


class TestSetUp:
    def test_no_token_says_where_to_get_one(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path]
    ) -> None:
        done = invoke("bulk", "run", url_csv(2), "--ledger", LEDGER, env={"USEAPI_TOKEN": None})
        assert done.exit_code == 2
        assert "USEAPI_TOKEN" in done.stderr
        assert "https://useapi.net/" in done.stderr
        assert "--emulator" in done.stderr
        assert not LEDGER.exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--rate", "5"], "'5' is not a rate; write 5/s"),
            (["--rate", "0/s"], "is not a rate"),
            (["--rate", "5/0s"], "is not a rate"),
            (["--concurrency", "0"], "'0' is neither auto nor a number from 1 to 1000"),
            (["--faults", "avatars.create:reset_after"], "--faults works with --emulator only"),
            (["--emulator", "--faults", "avatars.create:nonsense"], "unknown kind 'nonsense'"),
            (["--choose", "dice"], "'dice' is not one of"),
            (["--account", "nobody"], "account: "),
            (["--base-url", "http://example.com"], "would send your token unencrypted"),
            (["--transport", "pigeon"], "'pigeon' is not one of"),
        ],
    )
    def test_wrong_options(
        self,
        invoke: Callable[..., Any],
        url_csv: Callable[..., Path],
        service: Any,
        words: list[str],
        said: str,
    ) -> None:
        done = invoke("bulk", "run", url_csv(2), "--ledger", LEDGER, *words)
        assert done.exit_code == 2
        assert said in done.stderr
        assert service.creates == []
        assert not LEDGER.exists()

    @pytest.mark.parametrize("place", ["gone/avatars.sqlite", "folder"])
    def test_no_place_for_a_ledger(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any, place: str
    ) -> None:
        Path("folder").mkdir()
        done = invoke("bulk", "run", url_csv(2), "--ledger", place)
        assert done.exit_code == 2
        assert place in done.stderr
        assert service.creates == []

    def test_a_ledger_that_is_something_else(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
    ) -> None:
        done = invoke("bulk", "run", url_csv(2), "--ledger", "in.csv")
        assert done.exit_code == 2
        assert "it is not a ledger of kling-async; name another file" in done.stderr
        assert service.creates == []
        assert Path("in.csv").read_text().startswith("key,image_url")

    def test_a_ledger_in_use(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path], service: Any
    ) -> None:
        async def used() -> Any:
            async with open_ledger(LEDGER, service="a server on this machine"):
                words = ["bulk", "run", url_csv(2), "--ledger", LEDGER]
                return await asyncio.to_thread(invoke, *words)

        done = asyncio.run(used())
        assert done.exit_code == 2
        assert "is in use by process" in done.stderr
        assert service.creates == []

    def test_no_ledger_named(
        self, invoke: Callable[..., Any], url_csv: Callable[..., Path]
    ) -> None:
        done = invoke("bulk", "run", url_csv(2))
        assert done.exit_code == 2
        assert "--ledger" in done.stderr
