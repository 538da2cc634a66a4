"""What has useapi.net configured, and what does this client know of it? `kling.accounts`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, List  # noqa: UP035  (the class has a method named list)

from ..accounts import Account, AccountRegistry, as_listed
from ..errors import JSON, ConfigurationError
from ..models.accounts import (
    AddAccount,
    GetAccount,
    ListAccounts,
    RemoveAccount,
    RemovedAccount,
    ServerAccount,
)
from .base import Resource, operation


class Accounts(Resource):
    """Your Kling accounts. Iterating gives those that this client chooses from."""

    def __iter__(self) -> Iterator[Account]:
        return iter(self.registry)

    @property
    def registry(self) -> AccountRegistry:
        """The accounts that calls without `email=` choose from."""
        return self._pipeline.accounts

    list: Final = operation(ListAccounts)

    async def get(
        self, email: str | None = None, *, extra: Mapping[str, JSON] | None = None
    ) -> ServerAccount:
        """One account with its balance.

        Args:
            email: whose; default: chosen by the registry.
            extra: query fields newer than this library.

        Raises:
            NotFoundError: it is not configured at useapi.net.

        Source: `GET /accounts/{email}`.

        Examples:
            >>> credits = (await kling.accounts.get("demo@example.com")).balance
        """
        chosen = self.registry.choose(email)
        if chosen is None:
            raise ConfigurationError(
                "accounts.get() was given no e-mail and this client knows no account: pass one, "
                "or call accounts.sync() first"
            )
        return await self._pipeline.send(GetAccount(email=chosen, extra=extra), self._options)

    async def add(
        self,
        email: str,
        password: str,
        *,
        max_jobs: int,
        pass_token: str | None = None,
        did: str | None = None,
        user_id: str | None = None,
        dry_run: bool | None = None,
        extra: Mapping[str, JSON] | None = None,
    ) -> ServerAccount:
        """The account as useapi.net stored it, new or changed; this client knows it from then on.

        The server logs in with the password to see whether it works, and keeps it. This library
        keeps none: it shows in no repr, error or log, and an error's `.request` is without it.

        Args:
            email: the login at Kling. Accounts that sign in through Google or Apple do not work.
            password: at Kling.
            max_jobs: jobs it may run at once, 1 to 50.
            pass_token: with `did` and `user_id`, all three or none: cookies of a login in a
                browser, for when Kling asks for the slider captcha.
            did: see `pass_token`.
            user_id: see `pass_token`.
            dry_run: only check the login, store nothing; default False. Used by the vendor's own
                page, but not in its documentation.
            extra: fields newer than this library, under the API's names.

        Raises:
            BadRequestError: wrong e-mail or password.
            SubscriptionError: the useapi.net subscription is missing or expired.

        Source: `POST /accounts`.

        Examples:
            >>> account = await kling.accounts.add("bob@example.com", "his password", max_jobs=5)
        """
        request = AddAccount(
            email=email,
            password=password,
            max_jobs=max_jobs,
            pass_token=pass_token,
            did=did,
            user_id=user_id,
            dry_run=dry_run,
            extra=extra,
        )
        stored = await self._pipeline.send(request, self._options)
        if not dry_run:
            self.registry.update([Account(email, max_jobs)])
        return stored

    async def remove(
        self, email: str, *, extra: Mapping[str, JSON] | None = None
    ) -> RemovedAccount:
        """Remove an account from useapi.net; this client forgets it, too. At Kling nothing changes.

        Args:
            email: whose; it is not chosen by the registry, because this can't be undone without the
                account's password.
            extra: query fields newer than this library.

        Raises:
            NotFoundError: it is not configured (and no earlier attempt of this call removed it).

        Source: `DELETE /accounts/{email}`.

        Examples:
            >>> gone = await kling.accounts.remove("demo@example.com")
        """
        removed = await self._pipeline.send(RemoveAccount(email=email, extra=extra), self._options)
        self.registry.remove(email)
        return removed

    async def sync(self) -> List[Account]:  # noqa: UP006
        """The accounts this client knows after asking the server, `max_jobs` included.

        Adds what the server has; accounts that only this client knows stay.

        Source: `GET /accounts`.

        Examples:
            >>> [one.email for one in await kling.accounts.sync()]
            ['demo@example.com']
        """
        listed = await self._pipeline.send(ListAccounts(), self._options)
        self.registry.update(as_listed(listed))
        return list(self.registry)
