"""Whose account does a call use? The registry of the Kling accounts this client knows.

The pipeline asks `choose` once per call. Passwords never come here: useapi.net keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from .errors import AccountRequiredError, ConfigurationError
from .models.checks import Email, Integer

if TYPE_CHECKING:
    from .models.accounts import ServerAccount

Strategy = Literal["round_robin", "least_busy"] | Callable[[Sequence["Account"]], "Account | str"]


@frozen
class Account:
    """A Kling account by its e-mail.

    Args:
        email: the account's e-mail at Kling.
        max_jobs: jobs it runs at once, 1 to 50; None where unknown (`accounts.sync()` learns it).

    Examples:
        >>> Account("ada@example.com", max_jobs=5).max_jobs
        5
    """

    email: str = field(validator=lambda _, __, value: _be_email(value))
    max_jobs: int | None = field(default=None, validator=lambda _, __, value: _be_count(value))


class AccountRegistry:
    """The accounts a client may use, and how one is chosen when a call names none.

    Args:
        accounts: e-mails or `Account`s. None known: `email` is left out and the server decides.
            One: it is filled in. Several: the call names one, or `choose` does.
        choose: "round_robin" (in turn), "least_busy" (fewest calls under way), or a callable that
            is given the accounts and returns one; default: `AccountRequiredError`. Accounts that
            are paused after a 429 are left out while there are others.

    Examples:
        >>> known = AccountRegistry(["ada@example.com", "bob@example.com"], choose="round_robin")
        >>> kling = AsyncKlingClient(accounts=known)
    """

    def __init__(
        self, accounts: Iterable[Account | str] = (), *, choose: Strategy | None = None
    ) -> None:
        if isinstance(accounts, str):
            accounts = accounts.split(",")
        if choose not in ("round_robin", "least_busy", None) and not callable(choose):
            raise ConfigurationError(
                f"choose={choose!r}: use 'round_robin', 'least_busy' or a callable"
            )
        self._accounts: dict[str, Account] = {}
        self._others: dict[str, int] = {}
        """Job places of accounts that are only used where a call names them."""
        self._busy: dict[str, int] = {}
        self._turn = count()
        self._strategy = choose
        self.update(Account(one.strip()) if isinstance(one, str) else one for one in accounts)

    def __iter__(self) -> Iterator[Account]:
        return iter(tuple(self._accounts.values()))

    def __len__(self) -> int:
        return len(self._accounts)

    def __contains__(self, email: object) -> bool:
        return email in self._accounts

    def __repr__(self) -> str:
        return f"AccountRegistry({list(self._accounts)!r}, choose={self._strategy!r})"

    def update(self, accounts: Iterable[Account]) -> None:
        """Add accounts, or replace those with the same e-mail.

        Examples:
            >>> known = AccountRegistry()
            >>> known.update([Account("ada@example.com", max_jobs=5)])
            >>> known.max_jobs("ada@example.com")
            5
        """
        for one in accounts:
            if not isinstance(one, Account):
                raise ConfigurationError(
                    f"accounts: must be e-mails or Accounts, not {type(one).__name__}"
                )
            self._accounts[one.email] = one

    def learn(self, accounts: Iterable[Account]) -> None:
        """Note how many jobs these run at once. None is added to those that are chosen from.

        Examples:
            >>> known = AccountRegistry(["ada@example.com"])
            >>> known.learn([Account("ada@example.com", max_jobs=5)])
        """
        for one in accounts:
            if one.email in self._accounts:
                self._accounts[one.email] = one
            elif one.max_jobs is not None:
                self._others[one.email] = one.max_jobs

    def remove(self, email: str) -> None:
        """Forget an account; nothing happens where it is not known.

        Examples:
            >>> kling.accounts.registry.remove("ada@example.com")
        """
        self._accounts.pop(email, None)

    def max_jobs(self, email: str | None) -> int | None:
        """How many jobs `email` runs at once; None where unknown.

        Examples:
            >>> AccountRegistry([Account("ada@example.com", 5)]).max_jobs("ada@example.com")
            5
        """
        if email is None:
            return None
        found = self._accounts.get(email)
        return self._others.get(email) if found is None else found.max_jobs

    def choose(
        self, email: str | None, paused_s: Callable[[str], float] | None = None
    ) -> str | None:
        """The account for a call that names `email`; None to let the server decide.

        An e-mail that is named is taken as it is, known here or not. A strategy chooses among
        those that are not paused, or that are paused for the shortest time.

        Args:
            email: named by the call, or None.
            paused_s: how long an account is still paused, in seconds; None: nothing is paused.

        Examples:
            >>> AccountRegistry(["ada@example.com"]).choose(None)
            'ada@example.com'
        """
        if email is not None or not self._accounts:
            return email
        known = tuple(self._accounts.values())
        if len(known) == 1:
            return known[0].email
        if paused_s is not None and self._strategy is not None:
            pauses = [paused_s(one.email) for one in known]
            least_s = min(pauses)
            known = tuple(one for one, left in zip(known, pauses, strict=True) if left <= least_s)
        if self._strategy == "round_robin":
            return known[next(self._turn) % len(known)].email
        if self._strategy == "least_busy":
            return min(known, key=lambda one: self._busy.get(one.email, 0)).email
        if not callable(self._strategy):
            raise AccountRequiredError(
                f"{len(known)} accounts are known and the call names none, so nothing was sent: "
                f"give email=, or AccountRegistry(..., choose='round_robin'). Known: "
                f"{', '.join(self._accounts)}",
                accounts=tuple(self._accounts),
            )
        chosen = self._strategy(known)
        return chosen.email if isinstance(chosen, Account) else chosen

    def busy(self, email: str | None) -> AbstractContextManager[None]:
        """Count a call under way on `email`, for "least_busy".

        Examples:
            >>> with kling.accounts.registry.busy("ada@example.com"):
            ...     avatars = await kling.avatars.list()
        """
        return _NOBODY if email is None else self._counted(email)

    @contextmanager
    def _counted(self, email: str) -> Iterator[None]:
        self._busy[email] = self._busy.get(email, 0) + 1
        try:
            yield
        finally:
            self._busy[email] -= 1


def as_listed(accounts: Iterable[ServerAccount]) -> list[Account]:
    """The accounts that the server lists. A number of jobs that can't be counts as unknown."""
    return [
        Account(one.email, one.max_jobs if one.max_jobs is not None and one.max_jobs > 0 else None)
        for one in accounts
    ]


_NOBODY = nullcontext()


def _be_email(value: object) -> None:
    if (problem := Email()(value)) is not None:
        raise ConfigurationError(f"account: {problem}")


def _be_count(value: object) -> None:
    # More than 50 is the server's to refuse; with none, a job would wait for ever.
    if value is not None and (problem := Integer(1)(value)) is not None:
        raise ConfigurationError(f"max_jobs: {problem}")
