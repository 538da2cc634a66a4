"""Which fault strikes this request? An ordered plan; the first one that is due wins.

What a fault does once it strikes is in `effects.py`, which kinds there are in `faultkinds.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import cast

from attrs import define, field, frozen

from .faultkinds import KINDS, checked, fits


@frozen(init=False)
class Fault:
    """Something that goes wrong on purpose.

    Args:
        operation: `avatars.create` and so on; `avatars.*` for a part of the API; `*` for every API
            request (media files only by their own names).
        kind: see the table in `kling_async.emulator.faultkinds`.
        at: strike the nth matching calls, counted from 1: `at=(1, 3)`.
        every: strike every nth matching call; not together with `at`.
        times: strike at most so often. Alone: the first so many calls no earlier fault has taken.
        p: strike with this chance, 0 to 1, drawn from the emulator's seed.
        account: only calls of this e-mail are matching ones.
        **settings: the settings of the kind.

    None of at, every, times and p: every matching call. A call counts as matching whether or not an
    earlier fault of the list takes it.

    Raises:
        ValueError: something makes no sense; the text says what is allowed.

    Examples:
        >>> emulator = Emulator(faults=[Fault("avatars.create", "reset_after", at=(1, 3))])
    """

    operation: str
    kind: str
    at: tuple[int, ...]
    every: int | None
    times: int | None
    p: float | None
    account: str | None
    settings: Mapping[str, object] = field(hash=False)

    def __init__(
        self,
        operation: str,
        kind: str,
        *,
        at: int | Iterable[int] = (),
        every: int | None = None,
        times: int | None = None,
        p: float | None = None,
        account: str | None = None,
        **settings: object,
    ) -> None:
        places = tuple(sorted({at} if isinstance(at, int) else set(at)))
        if any(place < 1 for place in places):
            raise ValueError("at counts calls from 1")
        if places and every is not None:
            raise ValueError("at and every exclude each other")
        for name, count in (("every", every), ("times", times)):
            if count is not None and count < 1:
                raise ValueError(f"{name} must be 1 or more, not {count}")
        if p is not None and not 0 <= p <= 1:
            raise ValueError(f"p must be from 0 to 1, not {p}")
        self.__attrs_init__(  # pyright: ignore - attrs makes it, pyright does not know
            operation, kind, places, every, times, p, account, checked(kind, settings)
        )

    @property
    def does_work(self) -> bool:
        """Whether the operation is carried out when this strikes."""
        works = KINDS[self.kind].works
        flipped = self.settings.get("after_work") or self.settings.get("before_work")
        if self.kind == "latency":  # after_work moves the pause there, the work is done anyway
            return True
        return not works if flipped else works

    @property
    def refusal(self) -> str | None:
        """How it keeps the connection from coming about; None where it does not."""
        if self.kind != "refuse_connection":
            return None
        return str(self.settings.get("form", "refused"))

    @property
    def delay_before_s(self) -> float:
        """Seconds to wait before the work."""
        return 0.0 if self.settings.get("after_work") else self._delay_s

    @property
    def delay_after_s(self) -> float:
        """Seconds to wait after the work."""
        return self._delay_s if self.settings.get("after_work") else 0.0

    @property
    def expected_strikes(self) -> int:
        """How often it has to strike before it counts as consumed."""
        planned = [count for count in (self.times, len(self.at)) if count]
        return min(planned, default=1)

    @property
    def _delay_s(self) -> float:
        return cast(float, self.settings.get("delay_s", 0.0))

    def concerns(self, operation: str, account: str | None) -> bool:
        """Whether a call is a matching one."""
        if self.account is not None and self.account != account:
            return False
        kind = KINDS[self.kind]
        if not kind.is_for(operation):
            return False
        if self.operation == "*" and not kind.only and operation.startswith("media."):
            return False
        return fits(self.operation, operation)


@define
class _Planned:
    fault: Fault
    dice: random.Random
    seen: int = 0
    struck: int = 0
    _drawn: float | None = None

    def is_due(self) -> bool:
        """Whether it is due for the next matching call."""
        fault, number = self.fault, self.seen + 1
        lucky = fault.p is None or self._draw() < fault.p
        on_schedule = (not fault.at or number in fault.at) and (
            fault.every is None or number % fault.every == 0
        )
        left = fault.times is None or self.struck < fault.times
        return lucky and on_schedule and left

    def count(self) -> None:
        """That call has come."""
        self._draw()
        self.seen += 1
        self._drawn = None

    def _draw(self) -> float:
        """Once for each call, whether or not it matters: equal seeds, equal runs."""
        if self._drawn is None:
            self._drawn = self.dice.random()
        return self._drawn


class FaultPlan:
    """The faults still to come, in order, and how often each has struck.

    Args:
        faults: in order of precedence.
        seed: for those with a chance.
        operations: the names a fault may carry.
    """

    def __init__(self, faults: Iterable[Fault], seed: int, operations: Iterable[str]) -> None:
        self._seed = seed
        self._operations = tuple(operations)
        self._planned: list[_Planned] = []
        self._ever_planned = 0
        self._initial = tuple(faults)
        self.add(self._initial)

    def add(self, faults: Iterable[Fault]) -> None:
        """Append faults to the plan; all of them or, on a ValueError, none."""
        new = tuple(faults)
        for fault in new:
            if not isinstance(fault, Fault):
                raise ValueError(f"{fault!r} is no Fault; parse_faults(text) makes them of a text")
            check_operation(fault.operation, self._operations)
            check_kind(fault.operation, fault.kind, self._operations)
        for fault in new:
            dice = random.Random(f"{self._seed}:{self._ever_planned}")
            self._planned.append(_Planned(fault, dice))
            self._ever_planned += 1

    def remove(self, faults: Iterable[Fault] | None) -> list[Fault]:
        """Take faults out of the plan, None: all; those that were in it."""
        doomed = [one.fault for one in self._planned] if faults is None else tuple(faults)
        removed = [one.fault for one in self._planned if one.fault in doomed]
        self._planned = [one for one in self._planned if one.fault not in doomed]
        return removed

    @property
    def may_refuse(self) -> bool:
        """Whether any of them keeps connections from coming about."""
        return any(one.fault.refusal is not None for one in self._planned)

    def next(self, operation: str, account: str | None) -> Fault | None:
        """What would strike this call; nothing is counted."""
        due = self._due(self._concerning(operation, account))
        return None if due is None else due.fault

    def take(self, operation: str, account: str | None) -> Fault | None:
        """The fault that strikes this call, None for a call that goes well; it is counted."""
        concerning = self._concerning(operation, account)
        due = self._due(concerning)
        for planned in concerning:
            planned.count()
        if due is None:
            return None
        due.struck += 1
        return due.fault

    def unconsumed(self) -> list[Fault]:
        """The faults that have not struck as often as planned (at least once, without a plan)."""
        return [one.fault for one in self._planned if one.struck < one.fault.expected_strikes]

    def strikes(self) -> list[tuple[Fault, int]]:
        """Every fault of the plan and how often it has struck."""
        return [(one.fault, one.struck) for one in self._planned]

    def reset(self) -> None:
        """Back to the faults given at the start, none of them struck."""
        self._planned.clear()
        self._ever_planned = 0
        self.add(self._initial)

    def _concerning(self, operation: str, account: str | None) -> list[_Planned]:
        return [one for one in self._planned if one.fault.concerns(operation, account)]

    @staticmethod
    def _due(concerning: Iterable[_Planned]) -> _Planned | None:
        return next((one for one in concerning if one.is_due()), None)


def check_operation(name: str, operations: Iterable[str]) -> None:
    """ValueError unless `name` fits at least one of the operations."""
    known = tuple(operations)
    if any(fits(name, operation) for operation in known):
        return
    raise ValueError(f"unknown operation {name!r}; allowed: *, {', '.join(known)}")


def check_kind(name: str, kind: str, operations: Iterable[str]) -> None:
    """ValueError unless faults of that kind can strike at least one of the operations meant."""
    able = [operation for operation in operations if KINDS[kind].is_for(operation)]
    if not any(fits(name, operation) for operation in able):
        raise ValueError(f"{kind} can't strike {name}; allowed: {', '.join(able)}")
