"""Which Kling accounts are configured at useapi.net, and what is known of each?

Source: `GET /accounts`, `POST /accounts`, `GET` and `DELETE /accounts/{email}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, ClassVar

from attrs import field, frozen

from ..errors import JSON
from .checks import Boolean, Email, Integer
from .fields import body, path, secret
from .requests import DeleteRequest, EmailIn, GetRequest, Request, Safety
from .responses import Model, named


@frozen(kw_only=True)
class AccountSession(Model):
    """The server's session with Kling. The unit of `expire_time` is unknown."""

    user_id: str | None = None
    expire_time: float | None = named("ExpireTime", default=None)
    expire_time_utc: str | None = named("ExpireTimeUTC", default=None)


@frozen(kw_only=True)
class BalancePoints(Model):
    """Credits of one order or plan: how many there were, and how many are left.

    In hundredths of a credit (vendor's article, October 2026). The unit of the times is unknown.
    """

    order_id: str | None = None
    type: str | None = None
    amount: float | None = None
    balance: float | None = None
    start_time: float | None = None
    end_time: float | None = None


@frozen(kw_only=True)
class AccountBalance(Model):
    """What an account has left, in hundredths of a credit, as `kling_async.models.credits` counts.

    Source: `GET /accounts/{email}`.
    """

    points: tuple[BalancePoints, ...] = ()
    total: float | None = None
    next_apply_time: float | None = None


@frozen(kw_only=True)
class ServerAccount(Model):
    """An account as the server knows it. `max_jobs` is how many jobs it runs at once (1 to 50).

    `error` is what the server says is wrong with it, if anything.
    """

    email: str
    max_jobs: int | None = None
    session: AccountSession | None = field(default=None, repr=False)
    balance: AccountBalance | None = None
    error: str | None = None


@frozen(kw_only=True)
class ListAccounts(GetRequest[list[ServerAccount]]):
    """All configured accounts; an empty list where there are none (the server says 404 then).

    Source: `GET /accounts`.

    Examples:
        >>> emails = [one.email for one in await kling.accounts.list()]
    """

    operation = "accounts.list"
    route = "/accounts"
    email_in: ClassVar[EmailIn] = "nowhere"
    empty_status: ClassVar[int | None] = 404

    def decode(self, body: JSON) -> list[ServerAccount]:
        """An object keyed by e-mail; every field inside is optional, `email` too."""
        if body is None:
            return []
        if not isinstance(body, dict) or not all(isinstance(one, dict) for one in body.values()):
            raise ValueError("an object of accounts, keyed by e-mail, was expected")
        return [ServerAccount.from_api({"email": key, **one}) for key, one in body.items()]


@frozen(kw_only=True)
class GetAccount(GetRequest[ServerAccount]):
    """One configured account with its balance.

    Args:
        email: whose; required here.

    Source: `GET /accounts/{email}`.
    """

    operation = "accounts.get"
    route = "/accounts/{email}"
    email_in: ClassVar[EmailIn] = "path"

    email: str | None = path("email", Email())

    def decode(self, body: JSON) -> ServerAccount:
        """The entry of this account."""
        if not isinstance(body, dict):
            raise ValueError("an object was expected")
        return ServerAccount.from_api({"email": self.email, **body})


@frozen(kw_only=True)
class AddAccount(Request[ServerAccount]):
    """Add a Kling account to useapi.net, or change one; the server logs in to see whether it works.

    No repr, error or log shows the password, nor what logs in without one; the `.request` of an
    error is without them.

    Args:
        email: the login at Kling. Accounts that sign in through Google or Apple are not supported.
        password: at Kling.
        max_jobs: jobs it may run at once, 1 to 50.
        pass_token: with `did` and `user_id`, all three or none: the cookies of a login in a
            browser, for when Kling asks for the slider captcha.
        did: see `pass_token`.
        user_id: see `pass_token`.
        dry_run: only check the login, store nothing. The vendor's own page sends this, its
            documentation does not mention it.

    Source: `POST /accounts`.
    """

    operation = "accounts.add"
    method = "POST"
    route = "/accounts"
    safety = Safety.REPEATABLE  # it adds or updates: twice is as once
    email_in: ClassVar[EmailIn] = "body"

    email: str | None = field(default=None, metadata={"check": Email(), "required": True})
    password: str | None = secret("password", required=True)
    max_jobs: int | None = body("maxJobs", Integer(1, 50), required=True)
    pass_token: str | None = secret("passToken")
    did: str | None = secret("did")
    user_id: str | None = secret("userId")
    dry_run: bool | None = body("dryRun", Boolean())

    def cross_problems(self) -> dict[str, str]:
        """The three cookies come together."""
        trio = {"pass_token": self.pass_token, "did": self.did, "user_id": self.user_id}
        missing = [name for name, value in trio.items() if value is None]
        if len(missing) in (0, 3):
            return {}
        needed = "pass_token, did and user_id go together: give all three or none"
        return dict.fromkeys(missing, f"is missing; {needed}")

    def redacted(self, body: JSON) -> JSON:
        """An error may quote what was sent."""
        hidden = [one for one in (self.password, self.pass_token, self.did) if one]
        found: JSON = _without(body, hidden)
        return found

    def without_secrets(self) -> AddAccount:
        """Without anything that logs in; it can't be sent again, so build a new one for that."""
        bare = copy(self)
        for name in ("password", "pass_token", "did", "user_id"):
            object.__setattr__(bare, name, None)
        return bare

    def decode(self, body: JSON) -> ServerAccount:
        """The stored entry. What the server says of the password, if only a mask, is left out."""
        if not isinstance(body, Mapping):
            raise ValueError("an object was expected")
        entry = {name: value for name, value in body.items() if name != "password"}
        return ServerAccount.from_api({**entry, "email": self.email})


def _without(body: Any, hidden: Sequence[str]) -> Any:
    if isinstance(body, dict):
        return {name: _without(value, hidden) for name, value in body.items()}
    if isinstance(body, list):
        return [_without(value, hidden) for value in body]
    if isinstance(body, str):  # or a body that is no JSON, which stays of its kind
        shown = str(body)
        for one in hidden:
            shown = shown.replace(one, "(hidden)")
        return type(body)(shown)
    return body


@frozen(kw_only=True)
class RemovedAccount(Model):
    """useapi.net no longer has the account; at Kling it stays as it is."""


@frozen(kw_only=True)
class RemoveAccount(DeleteRequest[RemovedAccount]):
    """Remove an account from useapi.net.

    Args:
        email: whose; required here.

    Source: `DELETE /accounts/{email}`.
    """

    operation = "accounts.remove"
    route = "/accounts/{email}"
    email_in: ClassVar[EmailIn] = "path"
    accepts_text = True  # the vendor's example reads no body

    email: str | None = path("email", Email())
