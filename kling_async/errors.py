"""What can go wrong? Split by what the caller can do about it.

    KlingError
    ├── ConfigurationError          no token, bad base URL, unusable options
    ├── InvalidRequestError         also a ValueError; .problems: field -> what is wrong
    ├── AccountRequiredError        several accounts, none chosen; .accounts
    ├── NotSentError                nothing reached the server (DNS, connect, TLS, pool)
    ├── OutcomeUnknownError         it may have happened; .request .account .sent_at .candidates
    ├── APIError                    the server answered; .status_code .message .code .body
    │   ├── BadRequestError 400           ├── AuthenticationError 401
    │   ├── SubscriptionError 402         ├── PermissionDeniedError 403
    │   ├── NotFoundError 404             ├── GoneError 410
    │   │   └── TaskNotFoundError         a job that was waited for shows nowhere; .task
    │   ├── InsufficientCreditsError 412  ├── ContentModeratedError 422, or 500 with a marker
    │   ├── RateLimitedError 429          │   .retry_after_s
    │   ├── ServerError 5xx               └── AccountBrokenError 596
    ├── UnexpectedResponseError     2xx whose body is not what the contract says
    ├── AvatarFailedError           the server said FAILED
    ├── TaskFailedError             a job ended without a result; .task
    │   └── TaskModeratedError      its content was refused: change it
    ├── DeadlineExceededError       also a TimeoutError; .task when there is one
    ├── LocalFileError              also an OSError; a file here can't be written
    ├── LedgerError                 a bulk ledger can't be used; what to do is in the message
    └── InputError                  a bulk input can't be used (bulk/problems.py); .problems

Every error of a call carries `.context` (verb, route, account, attempts, seconds) and says it in
its text. None ever holds the token. All of them survive pickling. This file imports none of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from attrs import frozen

JSON = None | bool | int | float | str | Sequence[Any] | Mapping[str, Any]
"""What `json.loads` returns; the only place where `Any` shows on the public face."""


@frozen
class CallContext:
    """Which call an error belongs to; its text ends every message.

    `route` is the template (`/accounts/{email}`), so that nothing private sits in it.
    """

    method: str
    route: str
    account: str | None = None
    attempts: int = 0
    elapsed_s: float = 0.0

    def __str__(self) -> str:
        account = self.account if self.account is not None else "(none named)"
        plural = "attempt" if self.attempts == 1 else "attempts"
        return (
            f"{self.method} {self.route}, account {account}, "
            f"{self.attempts} {plural}, {self.elapsed_s:.1f} s"
        )


def _revive(cls: type[BaseException], args: tuple[object, ...], state: dict[str, object]) -> object:
    error = cls.__new__(cls, *args)
    error.args = args  # TimeoutError is an OSError, which sets them in __init__ alone
    for name, value in state.items():
        setattr(error, name, value)
    return error


def _encodable(text: str) -> str:
    """`text` as it can be printed and kept: the name of a file may hold half a character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class KlingError(Exception):
    """The root: `except KlingError` catches everything this library raises on purpose.

    `.context` tells the call, or is None where there was none.

    Examples:
        >>> try:
        ...     ada = await kling.avatars.create(image="nobody.jpg")
        ... except KlingError as error:
        ...     print(error)
        CreateAvatar was not sent: image: ...
    """

    context: CallContext | None

    def __init__(self, text: str, *, context: CallContext | None = None) -> None:
        self.text: str = _encodable(text)
        super().__init__(self.text)
        self.context = context

    def __str__(self) -> str:
        return self.text if self.context is None else f"{self.text} [{self.context}]"

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.args, self.__dict__.copy())


class ConfigurationError(KlingError):
    """The client can't work as it was set up; nothing was sent. Fix what the text names."""


class InvalidRequestError(KlingError, ValueError):
    """The request breaks the API's own rules; nothing was sent.

    `.problems` maps each field to what is wrong with it, all at once.

    Examples:
        >>> try:
        ...     ada = await kling.avatars.create(image="ada.jpg", tts_speed=3)
        ... except InvalidRequestError as error:
        ...     print(error.problems)
        {'tts_speed': 'is 3; it must be from 0.8 to 2'}
    """

    def __init__(
        self,
        what: str,
        problems: Mapping[str, str] | None = None,
        *,
        context: CallContext | None = None,
    ) -> None:
        self.problems: dict[str, str] = {n: _encodable(t) for n, t in (problems or {}).items()}
        listed = "; ".join(f"{name}: {text}" for name, text in self.problems.items())
        super().__init__(f"{what} was not sent: {listed}" if listed else what, context=context)


class AccountRequiredError(KlingError):
    """Several accounts are known and the call chose none; nothing was sent. `.accounts` lists them.

    Give `email=`, or a registry with `choose="round_robin"`.

    Examples:
        >>> kling = AsyncKlingClient(accounts=["ada@example.com", "bob@example.com"])
        >>> try:
        ...     avatars = await kling.avatars.list()
        ... except AccountRequiredError as error:
        ...     print(error.accounts)
        ('ada@example.com', 'bob@example.com')
    """

    def __init__(
        self, text: str, accounts: Sequence[str] = (), *, context: CallContext | None = None
    ) -> None:
        super().__init__(text, context=context)
        self.accounts: tuple[str, ...] = tuple(accounts)


class NotSentError(KlingError):
    """No byte of the request reached the server; doing it again is safe."""


class OutcomeUnknownError(KlingError):
    """The request may have been carried out: its answer was lost, cut, or says nothing definite.

    For a create, look before you repeat: `.request` is what was sent, `.account` where, `.sent_at`
    when (UTC), `.candidates` what was found that could be it. `__cause__` says what came instead.

    Examples:
        >>> emulator.add_faults([Fault("avatars.create", "reset_before", at=1)])
        >>> try:
        ...     ada = await kling.avatars.create(image="ada.jpg")
        ... except OutcomeUnknownError as error:
        ...     print(error.candidates)
        ()
    """

    def __init__(
        self,
        text: str,
        *,
        request: Any = None,
        account: str | None = None,
        sent_at: datetime | None = None,
        candidates: Sequence[Any] = (),
        context: CallContext | None = None,
    ) -> None:
        super().__init__(text, context=context)
        self.request = request
        self.account = account
        self.sent_at = sent_at
        self.candidates: tuple[Any, ...] = tuple(candidates)


class APIError(KlingError):
    """The server answered, and the answer is not a success.

    `.status_code` is the HTTP status, `.message` the server's meaningful text, `.code` the code in
    the body if any, `.body` the decoded JSON, or the text where it was not JSON. `.headers` are the
    answer's, names in lower case, read-only, without cookies and what is secret.

    Examples:
        >>> try:
        ...     gone = await kling.tasks.get(4711)
        ... except APIError as error:
        ...     print(error.status_code)
        404
    """

    def __init__(
        self,
        text: str,
        *,
        status_code: int = 0,
        message: str = "",
        code: int | str | None = None,
        body: JSON = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        context: CallContext | None = None,
    ) -> None:
        super().__init__(text, context=context)
        self.status_code = status_code
        self.message = message
        self.code = code
        self.body = body
        self.retry_after_s = retry_after_s
        """Seconds the server asked us to wait; None where it did not say."""
        self._headers = dict(headers or {})

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, as `error.headers.get("x-request-id")`."""
        return MappingProxyType(self._headers)  # which can't be pickled, so it is not kept


class BadRequestError(APIError):
    """400: a parameter is missing, wrong or conflicting. Repeating it unchanged will not help."""


class AuthenticationError(APIError):
    """401: the token is missing or wrong. See https://useapi.net/docs/start-here/setup-useapi."""


class SubscriptionError(APIError):
    """402: the useapi.net subscription is missing or expired."""


class PermissionDeniedError(APIError):
    """403: this belongs to somebody else, or Kling refused the session."""


class NotFoundError(APIError):
    """404: account, avatar, file or task unknown; while polling also: failed at moderation."""


class TaskNotFoundError(NotFoundError):
    """A job that was waited for shows nowhere: not by its id, in the scheduler or in the history.

    Whether it failed, was deleted, or ran and was paid for is not known; the text says what was
    asked and what to do. `.task` is what was last known of it, None for a mere id.
    """

    def __init__(
        self,
        text: str,
        *,
        task: Any = None,
        status_code: int = 404,
        message: str = "",
        code: int | str | None = None,
        body: JSON = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        context: CallContext | None = None,
    ) -> None:
        super().__init__(
            text,
            status_code=status_code,
            message=message,
            code=code,
            body=body,
            retry_after_s=retry_after_s,
            headers=headers,
            context=context,
        )
        self.task = task


class GoneError(APIError):
    """410: the job expired."""


class InsufficientCreditsError(APIError):
    """412: the Kling account has too few credits."""


class ContentModeratedError(APIError):
    """422, or 500 with a moderation marker: the content was refused. Change it before repeating."""


class RateLimitedError(APIError):
    """429: too many requests or no free job slot. `.retry_after_s` is how long to wait.

    Examples:
        >>> emulator.add_faults([Fault("tts.voices", "status", status=429)])
        >>> try:
        ...     voices = await kling.with_options(retry=RetryPolicy(attempts=1)).tts.voices()
        ... except RateLimitedError as error:
        ...     print(error.retry_after_s)
        1.0
    """


class ServerError(APIError):
    """5xx: a fault at useapi.net or at Kling."""


class AccountBrokenError(APIError):
    """596: Kling rejects the linked account's session. It never clears by itself: re-add it."""


class UnexpectedResponseError(KlingError):
    """2xx, but the body is not what the contract says. `.status_code`, `.body`."""

    def __init__(
        self,
        text: str,
        *,
        status_code: int = 0,
        body: JSON = None,
        context: CallContext | None = None,
    ) -> None:
        super().__init__(text, context=context)
        self.status_code = status_code
        self.body = body


class AvatarFailedError(KlingError):
    """The server answered FAILED: no avatar was made. `.body` is its whole answer."""

    def __init__(self, text: str, *, body: JSON = None, context: CallContext | None = None) -> None:
        super().__init__(text, context=context)
        self.body = body


class TaskFailedError(KlingError):
    """The job reached a final state that is not success. `.task` holds its record.

    Examples:
        >>> emulator.add_faults([Fault("videos.text2video", "task_failed")])
        >>> task = await kling.videos.text2video(prompt="A kite")
        >>> try:
        ...     done = await kling.tasks.wait(task)
        ... except TaskFailedError as error:
        ...     print(error.task.status_name)
        failed
    """

    def __init__(self, text: str, *, task: Any = None, context: CallContext | None = None) -> None:
        super().__init__(text, context=context)
        self.task = task


class TaskModeratedError(TaskFailedError):
    """The job failed because its content was refused. Change it before you make another."""


class DeadlineExceededError(KlingError, TimeoutError):
    """The call's total time ran out. `.task` is the job waited for, if there is one."""

    def __init__(self, text: str, *, task: Any = None, context: CallContext | None = None) -> None:
        super().__init__(text, context=context)
        self.task = task


class LocalFileError(KlingError, OSError):
    """A file here can't be written; the text says why and what to do. Also an `OSError`."""

    def __init__(
        self, text: str, *, errno: int | None = None, context: CallContext | None = None
    ) -> None:
        super().__init__(text, context=context)
        self.errno = errno

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.args, {**self.__dict__, "errno": self.errno})


class LedgerError(KlingError):
    """A bulk ledger can't be used as asked; the text says why and what to do."""
