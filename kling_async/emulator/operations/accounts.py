"""`GET /accounts` and `GET /accounts/{email}`: which Kling accounts are configured?

Their 404 is prose and not JSON, as the reference prints it.
"""

from __future__ import annotations

from ..clock import iso_date
from ..envelopes import prose_not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import digits_of
from ..world import EmulatedAccount

MASKED_PASSWORD = "…secured…"
_DAY_MS = 86_400_000


def list_accounts(context: Context) -> Reply:
    """An object keyed by e-mail; 404 when nothing is configured."""
    accounts = context.world.accounts.values()
    if not accounts:
        raise prose_not_found("No Kling accounts are configured.")
    return Reply.of_json({account.email: _entry(account, context) for account in accounts})


def get_account(context: Context) -> Reply:
    """The entry of one account plus its balance; amounts in an unknown scale."""
    account = context.world.accounts.get(context.path["email"])
    if account is None:
        raise prose_not_found(f"The account {context.path['email']} is not configured.")
    now_ms = context.clock.now_ms()
    plan = {
        "orderId": digits_of(account.email, 12),
        "type": "plan",
        "amount": 66000,
        "balance": 51200,
        "startTime": now_ms - 10 * _DAY_MS,
        "endTime": now_ms + 20 * _DAY_MS,
    }
    balance = {
        "points": [plan],
        "tickets": [],
        "nextApplyTime": now_ms + _DAY_MS,
        "total": plan["balance"],
    }
    return Reply.of_json({**_entry(account, context), "balance": balance})


def _entry(account: EmulatedAccount, context: Context) -> dict[str, object]:
    expires_ms = context.clock.now_ms() + 30 * _DAY_MS
    return {
        "email": account.email,
        "session": {
            "userId": digits_of(account.email, 8),
            "ExpireTime": expires_ms,  # unit unknown; milliseconds, as everywhere else in the API
            "ExpireTimeUTC": iso_date(expires_ms),
        },
        "maxJobs": account.max_jobs,
        "password": MASKED_PASSWORD,
    }


OPERATIONS = (
    Operation("accounts.list", "GET", f"{API_ROOT}/accounts", list_accounts),
    Operation("accounts.get", "GET", f"{API_ROOT}/accounts/{{email}}", get_account, email="path"),
)
