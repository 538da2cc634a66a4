"""What does a failure on the connection mean: never sent, or perhaps carried out?

Told apart by what happened on the connection (`Progress`), not by exception types: those lie. httpx
raises the same ReadError before and after the server has worked, and httpx-aiohttp turns a server
that hangs up after the request into ConnectTimeout.
"""

from __future__ import annotations

from types import SimpleNamespace

import httpx

from ..errors import NotSentError, OutcomeUnknownError
from ..models.redactor import Redactor
from ..models.text import printable
from .progress import Progress

# Errors that httpx's own transports raise only before anything is written.
_BEFORE_WRITING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


def meaning(progress: Progress, failure: Exception) -> NotSentError | OutcomeUnknownError:
    """The error that `failure` of an exchange stands for."""
    before = isinstance(failure, _BEFORE_WRITING) and not _is_aiohttps(failure.__cause__)
    if before and not progress.reported:
        return NotSentError(f"nothing was sent: {in_words(failure)}")
    return lost_or_not_sent(progress, in_words(failure))


def lost_or_not_sent(progress: Progress, what: str) -> NotSentError | OutcomeUnknownError:
    """The error of an exchange that ended so far along, because of `what`."""
    if progress.may_have_begun:
        return OutcomeUnknownError(f"the answer was lost: {what}")
    return NotSentError(f"nothing was sent: {what}")


def harmless(exc: Exception, redactor: Redactor) -> Exception:
    """`exc` without the request, whose headers hold the token and whose body may hold a password.

    httpx's errors keep it as an attribute; aiohttp's response errors even print its headers. And a
    text that quotes what a server wrote may quote the token.
    """
    link: BaseException | None = exc
    while link is not None:
        if isinstance(link, httpx.RequestError):
            link._request = None
        if (info := getattr(link, "request_info", None)) is not None:
            shown = SimpleNamespace(method=info.method, url=info.url, real_url=info.real_url)
            link.__dict__.update(request_info=shown, headers=None)
            link.args = ()
        link.args = tuple(_blanked(one, redactor) for one in link.args)
        vars(link).update({name: _blanked(one, redactor) for name, one in vars(link).items()})
        link = link.__cause__ or link.__context__
    return exc


def _blanked(value: object, redactor: Redactor) -> object:
    """`value`, or its text without the secret that is in it: aiohttp's errors hold whole heads."""
    text = str(value)
    blanked = redactor.text(text)
    return value if blanked == text else blanked


def in_words(exc: BaseException) -> str:
    """The class and text of `exc`, or of what httpx-aiohttp renamed to it."""
    if exc.__cause__ is not None and _is_aiohttps(exc.__cause__):
        exc = exc.__cause__
    text = printable(str(exc))  # many of httpx's errors have none
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def _is_aiohttps(cause: BaseException | None) -> bool:
    """Whether httpx-aiohttp renamed the error; it calls a server that hangs up ConnectTimeout."""
    return type(cause).__module__.startswith("aiohttp")
