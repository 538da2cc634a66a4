"""Which doubtful rows does a listing settle? The rules of evidence, in one place. No I/O but SQL.

`doubts.py` runs `judge` inside a ledger transaction with what an account lists now. Only presence
concludes. Two rules adopt:

- exact token: the address of the row's image (for a file: where it was uploaded for this row) is
  unique in the ledger and was not listed before the job; and an avatar with that very path is;
- field match, weaker: nickname and prompt were both sent and are equal, the avatar was not listed
  before, its createTime fits, no other row that was sent looks the same, exactly one fits, the
  account is declared to have no other writer, and the listing is known not to keep addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from ..errors import JSON
from ..models.avatars import Avatar
from ..settings import CLOCK_SLACK_S
from .ledger import Ledger
from .ledgerview import LedgerView
from .records import OPEN_STATES, UNSETTLED, Record


@frozen
class Rules:
    """What the user declared.

    Args:
        single_writer: nothing else makes avatars on the accounts while the job runs.
    """

    single_writer: bool = False


@define
class Verdicts:
    """What a listing came to."""

    adopted: list[int] = field(factory=list)
    """Rows that are done now."""
    surplus: list[str] = field(factory=list)
    """Avatars that carry a row's token besides the one it got; reported, never deleted."""


def judge(ledger: Ledger, account: str | None, listed: Sequence[Avatar], rules: Rules) -> Verdicts:
    """Adopt what is proven among the rows of `account` that are not settled."""
    verdicts = Verdicts()
    rows = ledger.of_account(account, UNSETTLED)
    if not rows or not ledger.was_listed(account):
        return verdicts
    known_paths, new = _news(ledger, account, listed)
    with_path, taken = _by_path(new), set[str]()
    left = []
    for row in rows:
        found = [one for one in with_path.get(row.token or "", ()) if one.id not in taken]
        if found and _is_exact(ledger, row, known_paths):
            late = row.state == "unknown"
            ledger.adopt(row.id, found[0].id, "adopted-late" if late else "adopted")
            verdicts.adopted.append(row.id)
            verdicts.surplus += [one.id for one in found[1:]]
            taken.update(one.id for one in found)
        else:
            left.append(row)
    if rules.single_writer and left and _rehosted(ledger, account, listed):
        with_texts = _by_texts(one for one in new if one.id not in taken)
        alike = Counter(map(_texts, ledger.may_have_more(account)))
        for row in left:
            fits = [one for one in with_texts.get(_texts(row), ()) if _fits(row, one)]
            if len(fits) == 1 and alike[_texts(row)] == 1:  # no other row may have made it
                ledger.adopt(row.id, fits[0].id, "adopted-by-fields")
                verdicts.adopted.append(row.id)
    return verdicts


def recover(ledger: Ledger, account: str | None, listed: Sequence[Avatar]) -> list[int]:
    """Adopt what is listed although its row was never sent, as far as this ledger knows.

    That is a ledger restored from an old copy: its rows were sent after the copy was made. Asked
    once, before the first create of a run; later, a stranger may have used the same address.
    """
    adopted = []
    known_paths, new = _news(ledger, account, listed)
    for one in new:
        for path in one.image_paths:
            for row in ledger.with_token(path):
                here = (row.account or row.payload.get("email")) in (None, account)
                if row.state in OPEN_STATES and here and _is_exact(ledger, row, known_paths):
                    if row.account is None:
                        ledger.ready(row.id, account, row.asset_url, path)
                    ledger.adopt(row.id, one.id, "adopted")
                    adopted.append(row.id)
    return adopted


def candidates(
    ledger: LedgerView, account: str | None, rows: Iterable[Record], listed: Sequence[Avatar]
) -> dict[int, list[str]]:
    """Row id -> ids of listed avatars that could be that row's, for the user to decide."""
    _, new = _news(ledger, account, listed)
    with_path, with_texts = _by_path(new), _by_texts(new)
    found = {}
    for row in rows:
        fits = [one for one in with_texts.get(_texts(row), ()) if _fits(row, one)]
        found[row.id] = list({one.id: None for one in (*with_path.get(row.token or "", ()), *fits)})
    return found


def _news(
    ledger: LedgerView, account: str | None, listed: Sequence[Avatar]
) -> tuple[set[str], list[Avatar]]:
    """The paths listed before the job, and the avatars made since that no row has, oldest first."""
    before = ledger.listed_before(account)
    not_new = {one for one, _ in before} | ledger.taken(account)
    new = [
        one
        for one in sorted(listed, key=lambda one: one.create_time_ms or 0)
        if one.id not in not_new
    ]
    return {path for _, path in before}, new


def _is_exact(ledger: LedgerView, row: Record, known_paths: set[str]) -> bool:
    """Whether the row's token can be no other's."""
    # Asked of uploads, too: that equal files get different addresses is not documented.
    return (
        row.token is not None
        and row.token not in known_paths
        and len(ledger.with_token(row.token)) == 1
    )


def _fits(row: Record, listed: Avatar) -> bool:
    """Equal texts, both of them sent, and a time at which it may have been made."""
    if not all(_texts(row)) or row.intent_at is None:
        return False
    made_s = None if listed.create_time_ms is None else listed.create_time_ms / 1000
    return (
        _texts(row) == _texts(listed)
        and made_s is not None
        and made_s >= row.intent_at - CLOCK_SLACK_S
    )


def _texts(one: Record | Avatar) -> tuple[JSON, JSON]:
    """Nickname and prompt, of a row as they were sent."""
    if isinstance(one, Avatar):
        return one.nickname, one.prompt
    return one.payload.get("nickname"), one.payload.get("prompt")


def _by_path(avatars: Iterable[Avatar]) -> dict[str, list[Avatar]]:
    found: dict[str, list[Avatar]] = {}
    for one in avatars:
        for path in one.image_paths:
            found.setdefault(path, []).append(one)
    return found


def _by_texts(avatars: Iterable[Avatar]) -> dict[tuple[JSON, JSON], list[Avatar]]:
    found: dict[tuple[JSON, JSON], list[Avatar]] = {}
    for one in avatars:
        found.setdefault(_texts(one), []).append(one)
    return found


def _rehosted(ledger: LedgerView, account: str | None, listed: Sequence[Avatar]) -> bool:
    """Whether the listing shows other addresses than were sent, as answered rows prove.

    Where addresses are kept, an avatar of another address is certainly not the row's.
    """
    for one in listed:
        owner = ledger.owner_of(account, one.id)
        if owner is not None and owner.evidence == "answer" and owner.token is not None:
            return owner.token not in one.image_paths
    return False
