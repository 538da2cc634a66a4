"""Which doubtful rows does a listing settle? The rules of evidence, in one place. No I/O but SQL.

`doubts.py` runs `judge` inside a ledger transaction with what an account lists now. Only presence
concludes. Two rules adopt:

- exact token: the row's image was uploaded for it alone, or its address is unique in the ledger
  and was in nobody's listing before the job; and an avatar with that very path is listed;
- field match, weaker: nickname and prompt were both sent and are equal, the avatar was not listed
  before, its createTime fits, no other open row looks the same, exactly one avatar fits, the
  account is declared to have no other writer, and the listing is known not to keep addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from ..models.avatars import Avatar
from ..settings import CLOCK_SLACK_S
from .ledger import Ledger
from .ledgerview import LedgerView
from .records import OPEN_STATES, UNSETTLED, Record, State

MAY_COME: tuple[State, ...] = ("intent", *UNSETTLED)


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
    left = []
    for row in rows:
        found = [one for one in new if row.token in one.image_paths]
        if found and _is_exact(ledger, row, known_paths):
            late = row.state == "unknown"
            ledger.adopt(row.id, found[0].id, "adopted-late" if late else "adopted")
            verdicts.adopted.append(row.id)
            verdicts.surplus += [one.id for one in found[1:]]
            new = [one for one in new if one not in found]
        else:
            left.append(row)
    if rules.single_writer and left and _rehosted(ledger, account, listed):
        for row in left:
            fits = [one for one in new if _fits(row, one)]
            if len(fits) == 1 and _is_alone(row, ledger.of_account(account, MAY_COME)):
                ledger.adopt(row.id, fits[0].id, "adopted-by-fields")
                verdicts.adopted.append(row.id)
                new.remove(fits[0])
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
                here = row.account is None or row.account == account
                if row.state in OPEN_STATES and here and _is_exact(ledger, row, known_paths):
                    ledger.adopt(row.id, one.id, "adopted")
                    adopted.append(row.id)
    return adopted


def candidates(
    ledger: LedgerView, account: str | None, row: Record, listed: Iterable[Avatar]
) -> list[str]:
    """Ids of listed avatars that could be this row's, for the user to decide."""
    known_ids = {one for one, _ in ledger.listed_before(account)}
    return [
        one.id
        for one in listed
        if one.id not in known_ids
        and (row.token in one.image_paths or _fits(row, one))
        and ledger.owner_of(account, one.id) is None
    ]


def _news(
    ledger: LedgerView, account: str | None, listed: Sequence[Avatar]
) -> tuple[set[str], list[Avatar]]:
    """The paths listed before the job, and the avatars made since that no row has, oldest first."""
    before = ledger.listed_before(account)
    known_ids = {one for one, _ in before}
    new = [
        one
        for one in sorted(listed, key=lambda one: one.create_time_ms or 0)
        if one.id not in known_ids and ledger.owner_of(account, one.id) is None
    ]
    return {path for _, path in before}, new


def _is_exact(ledger: LedgerView, row: Record, known_paths: set[str]) -> bool:
    """Whether the row's token can be no other's."""
    if row.token is None:
        return False
    if row.token_kind == "upload":
        return True
    return row.token not in known_paths and len(ledger.with_token(row.token)) == 1


def _fits(row: Record, listed: Avatar) -> bool:
    """Equal texts, both of them sent, and a time at which it may have been made."""
    nickname, prompt = row.payload.get("nickname"), row.payload.get("prompt")
    if not nickname or not prompt or row.intent_at is None:
        return False
    made_s = None if listed.create_time_ms is None else listed.create_time_ms / 1000
    return (
        (nickname, prompt) == (listed.nickname, listed.prompt)
        and made_s is not None
        and made_s >= row.intent_at - CLOCK_SLACK_S
    )


def _is_alone(row: Record, may_come: Sequence[Record]) -> bool:
    """Whether no other row that may have been made has the same texts."""

    def texts(one: Record) -> tuple[object, object]:
        return one.payload.get("nickname"), one.payload.get("prompt")

    return sum(texts(one) == texts(row) for one in may_come) == 1


def _rehosted(ledger: LedgerView, account: str | None, listed: Sequence[Avatar]) -> bool:
    """Whether the listing shows other addresses than were sent, as answered rows prove.

    Where addresses are kept, an avatar of another address is certainly not the row's.
    """
    for one in listed:
        owner = ledger.owner_of(account, one.id)
        if owner is not None and owner.evidence == "answer" and owner.token is not None:
            return owner.token not in one.image_paths
    return False
