"""Does the ledger say what really happened? The emulator's avatars against the ledger's rows.

Whose an avatar is, is told by the create that made it: its picture (the address, or the bytes that
were uploaded) and its nickname together are one row's alone. The ledger is not asked for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import define, field
from engine import LedgerRow, rows_of

from kling_async.emulator import Avatar, Emulator

MAY_EXIST = ("done", "intent", "doubt", "unknown")
Identity = tuple[str, str]
"""A row's picture (its address, or the SHA-256 of its bytes) and its nickname."""


@define
class Findings:
    """What the comparison came to; the first three must stay empty."""

    doubled: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    rows: int = 0
    made: int = 0
    adopted: int = 0
    unknown_made: int = 0
    unknown_unmade: int = 0
    states: Counter[str] = field(factory=Counter)

    @property
    def faults(self) -> int:
        """How many promises were broken."""
        return len(self.doubled) + len(self.lost) + len(self.wrong)


def findings(
    emulator: Emulator, ledger: Path, identities: Mapping[str, Identity], *, but: Iterable[str] = ()
) -> Findings:
    """Compare.

    Args:
        emulator: what really happened.
        ledger: what is remembered of it.
        identities: of the rows, by key.
        but: ids of avatars that are not the job's.
    """
    others = set(but)
    made: dict[Identity, list[Avatar]] = {}
    shas = {one.name: one.sha256 for one in emulator.uploads}
    for one in emulator.avatars:
        if one.id not in others:
            made.setdefault(identity_of(one, shas), []).append(one)
    found = Findings(rows=len(identities))
    records = {one.key: one for one in rows_of(ledger)}
    for key, identity in identities.items():
        _compare(found, key, records.get(key), made.pop(identity, []))
    found.wrong += [f"an avatar of no row: {one}" for one in made]
    ids = Counter((one.account, one.avatar_id) for one in records.values() if one.avatar_id)
    found.wrong += [f"{one} belongs to {n} rows" for one, n in ids.items() if n > 1]
    return found


def identity_of(avatar: Avatar, shas: Mapping[str, str]) -> Identity:
    """Which row's an avatar is, by the create that made it."""
    picture = avatar.image_url if avatar.upload_name is None else shas[avatar.upload_name]
    return picture, avatar.nickname


def _compare(found: Findings, key: str, record: LedgerRow | None, made: Sequence[Avatar]) -> None:
    state = "missing" if record is None else record.state
    found.states[state] += 1
    found.made += len(made)
    if len(made) > 1:
        found.doubled.append(f"{key}: {[one.id for one in made]}, {state}")
    if made and state not in MAY_EXIST:
        found.lost.append(f"{key}: {made[0].id} exists, the row is {state}")
    if state == "unknown":
        found.unknown_made += bool(made)
        found.unknown_unmade += not made
    if record is None or state != "done":
        return
    found.adopted += (record.evidence or "").startswith("adopted")
    if record.avatar_id not in {one.id for one in made}:
        found.wrong.append(f"{key}: {record.evidence} {record.avatar_id}, made {made}")
