"""`kling.accounts`: what useapi.net has configured, and what this client knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import List  # noqa: UP035  (the class has a method named list)

from ..accounts import Account, AccountRegistry
from ..errors import JSON, ConfigurationError
from ..models.accounts import GetAccount, ListAccounts, ServerAccount
from .base import Resource


class Accounts(Resource):
    """Your Kling accounts. Iterating gives those that this client chooses from."""

    def __iter__(self) -> Iterator[Account]:
        return iter(self.registry)

    @property
    def registry(self) -> AccountRegistry:
        """The accounts that calls without `email=` choose from."""
        return self._pipeline.accounts

    async def list(self, *, extra: Mapping[str, JSON] | None = None) -> List[ServerAccount]:  # noqa: UP006
        """All configured accounts; an empty list where there are none.

        Args:
            extra: query fields newer than this library.

        Source: `GET /accounts`.
        """
        return await self._pipeline.send(ListAccounts(extra=extra), self._options)

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
        """
        chosen = self.registry.choose(email)
        if chosen is None:
            raise ConfigurationError(
                "accounts.get() was given no e-mail and this client knows no account: pass one, "
                "or call accounts.sync() first"
            )
        return await self._pipeline.send(GetAccount(email=chosen, extra=extra), self._options)

    async def sync(self) -> List[Account]:  # noqa: UP006
        """The accounts this client knows after asking the server, `max_jobs` included.

        Adds what the server has; accounts that only this client knows stay.

        Source: `GET /accounts`.
        """
        self.registry.update(
            Account(one.email, one.max_jobs)
            for one in await self._pipeline.send(ListAccounts(), self._options)
        )
        return list(self.registry)
