"""Who is asking, and on behalf of which account?

Token and account rules of the reference, in the order the emulator applies them. Asked by
`emulator.py` for every API request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .bodies import parse_fields
from .envelopes import Refusal, malformed, missing, not_found, unauthorized
from .messages import Request
from .operation import Operation
from .world import EmulatedAccount

_ANY_TOKEN = re.compile(r"user:[0-9]+-[A-Za-z0-9]+")

Given = Mapping[str, object]
"""The fields of a request, from its body or its query."""


def given_fields(request: Request, operation: Operation | None) -> Given | Refusal:
    """The fields, or why the body can't be read: that is only told once the token is checked."""
    if operation is None or not operation.reads_body_fields:
        return dict(reversed(request.query))  # of equal names the first one wins
    try:
        return parse_fields(request)
    except Refusal as refusal:
        return refusal


def check_token(request: Request, token: str | None) -> None:
    """Refusal 401 unless the request brings the token, or any well-formed one for None."""
    scheme, _, brought = (request.header("authorization") or "").partition(" ")
    fits = _ANY_TOKEN.fullmatch(brought) is not None if token is None else brought == token
    if scheme.lower() != "bearer" or not fits:
        raise Refusal(unauthorized())


def named_account(
    operation: Operation | None,
    given: Given | Refusal,
    path: Mapping[str, str],
    accounts: Mapping[str, EmulatedAccount],
) -> str | None:
    """The e-mail a call counts for: the named one, else the only one; for faults and records."""
    if operation is None or operation.email == "none":
        return None
    place = path if operation.email == "path" else given
    email = None if isinstance(place, Refusal) else place.get("email")
    if isinstance(email, str) and email:
        return email
    if operation.email == "new":
        return None
    return next(iter(accounts)) if len(accounts) == 1 else None


def chosen_account(
    operation: Operation, given: Given, accounts: Mapping[str, EmulatedAccount]
) -> str:
    """The account an operation works on; empty where it needs none.

    `email` may be left out with exactly one account, documented. With several, 400 is what a
    client has seen; 404 for an account that is not configured is documented for `/accounts` alone.
    """
    if operation.email in ("none", "path", "new"):
        return ""
    email = given.get("email")
    if email is None or email == "":
        if len(accounts) == 1:
            return next(iter(accounts))
        if accounts:
            raise missing("email")
        raise not_found("No Kling account is configured")
    if not isinstance(email, str):
        raise malformed("email", email)
    if email not in accounts:
        raise not_found(f"Account {email} is not configured")
    return email
