"""How are faults said in one line of text, for the command line, and read back?

    avatars.create:reset_after@every=7
    avatars.create:status=429,form=date@at=3+5 ; avatars.list:latency=0.5@p=0.25,account=a@b.c

Entries are separated by `;`. Each is `operation:kind`, then settings, then `@` and the schedule
(`at` with `+` between numbers, `every`, `times`, `p`, `account`). `kind=value` sets the kind's main
setting; a flag needs no value. In values, `%XX` stands for characters that separate.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from .faultkinds import KINDS
from .faults import Fault, check_kind, check_operation
from .operations import NAMES

_SCHEDULE = ("at", "every", "times", "p", "account")
_FLAGS = ("after_work", "before_work", "malformed")


def parse_faults(text: str) -> list[Fault]:
    """The faults in `text`, in order; none for a blank text.

    Raises:
        ValueError: names the entry, says what is wrong with it and what is allowed.

    Examples:
        >>> faults = parse_faults("avatars.create:reset_after@at=1")
    """
    faults: list[Fault] = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        try:
            faults.append(_parse(entry))
        except ValueError as exc:
            raise ValueError(f"fault {entry!r}: {exc}") from None
    return faults


def format_fault(fault: Fault) -> str:
    """The text that `parse_faults` makes the same fault of; `headers` are left out.

    Examples:
        >>> format_fault(Fault("avatars.create", "latency", at=1, delay_s=3))
        '...'
    """
    kind, settings = fault.kind, dict(fault.settings)
    main = KINDS[kind].main
    head = f"{kind}={_shown(settings.pop(main))}" if main in settings else kind
    flags = [name for name in _FLAGS if settings.pop(name, False)]
    settings.pop("headers", None)
    words = [head, *(f"{name}={_shown(value)}" for name, value in settings.items()), *flags]
    schedule = [f"at={'+'.join(map(str, fault.at))}"] if fault.at else []
    plan = (("every", fault.every), ("times", fault.times), ("p", fault.p))
    schedule += [f"{name}={value}" for name, value in plan if value is not None]
    schedule += [f"account={_shown(fault.account)}"] if fault.account else []
    tail = f"@{','.join(schedule)}" if schedule else ""
    return f"{fault.operation}:{','.join(words)}{tail}"


def _parse(entry: str) -> Fault:
    operation, colon, rest = entry.partition(":")
    if not colon:
        raise ValueError("expected operation:kind, with settings and @schedule where needed")
    check_operation(operation.strip(), NAMES)
    head, at, schedule_text = rest.partition("@")
    first, *others = head.split(",")
    kind, equals, main_value = (part.strip() for part in first.partition("="))
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; allowed: {', '.join(KINDS)}")
    check_kind(operation.strip(), kind, NAMES)
    settings = _pairs(others)
    if equals:
        main = KINDS[kind].main
        if main is None:
            raise ValueError(f"{kind} takes no value after '='")
        if main in settings:
            raise ValueError(f"{main} is set twice")
        settings = {main: unquote(main_value), **settings}
    schedule = _pairs(schedule_text.split(",")) if at else {}
    for name in schedule:
        if name not in _SCHEDULE:
            raise ValueError(f"unknown schedule {name!r}; allowed: {', '.join(_SCHEDULE)}")
    for name in settings:
        if name in _SCHEDULE:
            raise ValueError(f"{name} belongs behind '@'")
    return Fault(
        operation.strip(),
        kind,
        at=[_whole("at", place) for place in schedule["at"].split("+")] if "at" in schedule else (),
        every=_whole("every", schedule["every"]) if "every" in schedule else None,
        times=_whole("times", schedule["times"]) if "times" in schedule else None,
        p=_chance(schedule["p"]) if "p" in schedule else None,
        account=schedule.get("account"),
        **settings,
    )


def _pairs(words: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals and name in _FLAGS:
            value = "true"
        elif not (name and equals and value):
            raise ValueError(f"expected name=value, got {word.strip()!r}")
        if name in pairs:
            raise ValueError(f"{name} is set twice")
        pairs[name] = unquote(value)
    return pairs


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)


def _chance(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"p must be a number from 0 to 1, not {text!r}") from None


def _shown(value: object) -> str:
    return quote(str(value), safe="/")
