"""`/accounts`: which Kling accounts are configured? Listing, adding and removing them.

Their 404 is prose and not JSON, as the reference prints it.
"""

from __future__ import annotations

from attrs import evolve

from ..clock import iso_date
from ..envelopes import bad_request, malformed, missing, prose_not_found
from ..messages import Reply
from ..operation import API_ROOT, Context, Operation
from ..records import digits_of
from ..world import EmulatedAccount

MASKED_PASSWORD = "…secured…"
_SESSION = ("passToken", "did", "userId")
_HUNDREDTHS = 100
_PLAN = 3000 * _HUNDREDTHS
_DAY_MS = 86_400_000


def list_accounts(context: Context) -> Reply:
    """An object keyed by e-mail; 404 when nothing is configured."""
    accounts = context.world.accounts.values()
    if not accounts:
        raise prose_not_found("No Kling accounts are configured.")
    return Reply.of_json({account.email: _entry(account, context) for account in accounts})


def get_account(context: Context) -> Reply:
    """The entry of one account plus its balance; amounts in hundredths of a credit."""
    account = context.world.accounts.get(context.path["email"])
    if account is None:
        raise prose_not_found(f"The account {context.path['email']} is not configured.")
    now_ms = context.clock.now_ms()
    spent = _HUNDREDTHS * sum(task.credits for task in context.world.tasks_of(account.email))
    plan = {
        "orderId": digits_of(account.email, 12),
        "type": "plan",
        "amount": _PLAN,
        "balance": max(0, _PLAN - spent),
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


def add_account(context: Context) -> Reply:
    """Add an account or update one; with `dryRun` only look whether the login would do.

    The login succeeds with any password but for an account the emulator was given one for. No
    password is kept.
    """
    given = context.fields
    email, password = given.needed_text("email"), given.needed_text("password")
    max_jobs = given.whole("maxJobs", low=1, high=50)
    if max_jobs is None:
        raise missing("maxJobs")
    session = [name for name in _SESSION if given.text(name) is not None]
    if session and len(session) < len(_SESSION):
        raise bad_request(f"{', '.join(_SESSION)} come all together or not at all")
    dry_run = given.flag("dryRun")
    known = context.world.accounts.get(email)
    try:
        account = evolve(known or EmulatedAccount(email), max_jobs=max_jobs)
    except ValueError:
        raise malformed("email", email) from None
    if account.password not in (None, password):
        raise bad_request("Account does not exist or password is incorrect")  # documented
    if dry_run:  # seen in the vendor's script alone; 201 stands for a stored account
        return Reply.of_json(_entry(account, context))
    context.world.accounts[email] = account
    return Reply.of_json(_entry(account, context), 201)


def remove_account(context: Context) -> Reply:
    """Take an account out of the configuration; what it has made stays on record.

    Status and body of success are unknown; the vendor's sample reads no body, and there is none.
    """
    if context.world.accounts.pop(context.path["email"], None) is None:
        raise prose_not_found(f"The account {context.path['email']} is not configured.")
    return Reply(204)


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
    Operation(
        "accounts.add",
        "POST",
        f"{API_ROOT}/accounts",
        add_account,
        email="new",
        secrets=("password", "passToken"),
    ),
    Operation(
        "accounts.remove", "DELETE", f"{API_ROOT}/accounts/{{email}}", remove_account, email="path"
    ),
    Operation("accounts.get", "GET", f"{API_ROOT}/accounts/{{email}}", get_account, email="path"),
)
