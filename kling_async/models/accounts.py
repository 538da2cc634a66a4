"""The Kling accounts that are configured at useapi.net.

Source: `GET /accounts`, `GET /accounts/{email}`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen

from ..errors import JSON
from . import checks
from .requests import Request, Safety
from .responses import Model, wired


@frozen(kw_only=True)
class AccountSession(Model):
    """The server's session with Kling. The unit of `expire_time` is unknown."""

    user_id: str | None = None
    expire_time: float | None = wired("ExpireTime", default=None)
    expire_time_utc: str | None = wired("ExpireTimeUTC", default=None)


@frozen(kw_only=True)
class AccountBalance(Model):
    """Credits of an account, as the server gives them: their scale is unknown."""

    total: float | None = None
    next_apply_time: float | None = None


@frozen(kw_only=True)
class ServerAccount(Model):
    """An account as the server knows it. `max_jobs` is how many jobs it runs at once (1 to 50)."""

    email: str
    max_jobs: int | None = None
    session: AccountSession | None = field(default=None, repr=False)
    balance: AccountBalance | None = None


@frozen(kw_only=True)
class ListAccounts(Request[list[ServerAccount]]):
    """All configured accounts; an empty list where there are none (the server says 404 then).

    Source: `GET /accounts`.
    """

    operation: ClassVar[str] = "accounts.list"
    method: ClassVar[str] = "GET"
    route: ClassVar[str] = "/accounts"
    safety: ClassVar[Safety] = Safety.READ
    email_in: ClassVar[Literal["nowhere"]] = "nowhere"
    absent_status: ClassVar[int | None] = 404

    def decode(self, body: JSON) -> list[ServerAccount]:
        """An object keyed by e-mail; every field inside is optional, `email` too."""
        if body is None:
            return []
        if not isinstance(body, dict) or not all(isinstance(one, dict) for one in body.values()):
            raise ValueError("an object of accounts, keyed by e-mail, was expected")
        return [ServerAccount.from_api({"email": key, **one}) for key, one in body.items()]


@frozen(kw_only=True)
class GetAccount(Request[ServerAccount]):
    """One configured account with its balance.

    Args:
        email: whose; required here.

    Source: `GET /accounts/{email}`.
    """

    operation: ClassVar[str] = "accounts.get"
    method: ClassVar[str] = "GET"
    route: ClassVar[str] = "/accounts/{email}"
    safety: ClassVar[Safety] = Safety.READ
    email_in: ClassVar[Literal["path"]] = "path"

    email: str | None = field(
        default=None,
        metadata={"wire": "email", "place": "path", "check": checks.email, "required": True},
    )

    def decode(self, body: JSON) -> ServerAccount:
        """The entry of this account."""
        if not isinstance(body, dict):
            raise ValueError("an object was expected")
        return ServerAccount.from_api({"email": self.email, **body})
