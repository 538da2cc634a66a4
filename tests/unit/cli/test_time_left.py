"""Does the time left count what a run waits for?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kling_async.bulk.results import RunCounts
from kling_async.cli.progress import Meter, Reach


@pytest.mark.parametrize(("settled", "resumed", "doubts", "doubts_s", "paused_s", "left_s"), [
    (0, 0, 0, 0.0, 0.0, None),  # nothing says yet how fast it goes
    (50, 0, 0, 0.0, 0.0, 10.0),
    (100, 0, 0, 0.0, 0.0, None),
    (60, 50, 0, 0.0, 0.0, 40.0),  # what an earlier run did says nothing
    (50, 0, 0, 0.0, 30.0, 40.0),  # the pause, then the rows
    (99, 0, 1, 20.0, 0.0, 20.0),  # one row, that is looked for
    (50, 0, 1, 3.0, 0.0, 9.8),  # found or not long before the others are done
    (50, 50, 50, 7.0, 0.0, 7.0),
])  # fmt: skip
def test_waits_pauses_and_looks_count(
    settled: int, resumed: int, doubts: int, doubts_s: float, paused_s: float, left_s: float | None
) -> None:
    now_s = 0.0
    run: Any = SimpleNamespace(
        counts=RunCounts(settled=settled, resumed=resumed), in_doubt=(doubts, doubts_s),
        paused_s=paused_s, waiting=0, found_per_s=None, made=1, running=0, queued=0,
        makes_avatars=True,
    )  # fmt: skip
    meter = Meter(run, 100, Reach(), lambda: now_s)
    run.paused_s = 0.0
    now_s = 10.0
    meter.now()
    run.paused_s = paused_s
    assert meter.now().left_s == left_s


def test_a_pause_that_is_over_does_not_slow_the_rest() -> None:
    now_s = 0.0
    run: Any = SimpleNamespace(
        counts=RunCounts(settled=50), in_doubt=(0, 0.0), paused_s=0.0, waiting=0,
        found_per_s=None, made=1, running=0, queued=0, makes_avatars=True,
    )  # fmt: skip
    meter = Meter(run, 100, Reach(), lambda: now_s)
    now_s = 10.0
    assert meter.now().left_s == 10.0
    run.paused_s, now_s = 5.0, 100.0
    assert meter.now().left_s == 15.0
    run.paused_s = 0.0
    assert meter.now().left_s == 10.0
