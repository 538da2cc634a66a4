"""What does an in-process Kling answer? Takes a request, gives what the wire shall carry.

`Emulator` owns the world, the clock, the faults, the quota and the log. It does no I/O and never
waits; `transport.py`, `server.py` and `delivery.py` do both for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Unpack

from attrs import evolve

from . import ownpages
from .admission import Given, check_token, chosen_account, given_fields, named_account
from .calls import Call, CallLog, OnCall
from .clock import EmulatorClock
from .delivery import OnWebhook, WebhookDelivery
from .effects import dressed, strike
from .envelopes import Refusal, error, not_found
from .faults import Fault, FaultPlan
from .fields import Fields
from .foreign import Foreign, ForeignWriter
from .ids import Ids
from .messages import Delivery, Exchange, Reply, Request
from .operation import API_ROOT, Context
from .operations import CREATES, NAMES, OPERATIONS
from .others import Others
from .quota import Quota, RetryForm
from .routes import Match, Routes
from .server import serve
from .state import dumped, restored
from .transport import EmulatorTransport
from .truth import Truth
from .views import ViewOptions, Views
from .webhooks import Webhooks
from .world import EmulatedAccount, World, configured

if TYPE_CHECKING:
    from kling_async._limits.limits import RateLimit

_API_SEGMENTS = tuple(API_ROOT.split("/")[1:])
_ROUTES = Routes(OPERATIONS)


class Emulator(Truth, Others):
    """The Kling API with its own state and clock; nothing leaves the machine, nothing costs money.

    Args:
        accounts: e-mails or `EmulatedAccount`s; None: `demo@example.com`; empty: none configured.
        token: the only one welcome; None: any of the form `user:<digits>-<letters and digits>`.
        quota: see `set_quota`.
        faults: what goes wrong, in order of precedence.
        seed: decides ids, names, "AI" choices and chances; equal seeds, equal runs.
        clock: default: a new one, real time.
        latency_s: seconds every API request takes before its work; default 0.
        quota_form: how a 429 of the quota says when to come back; see `Quota`.
        quota_operations: which operations the quota counts; None: all that have an account.
        record_calls: True keeps every call record, False none, a number that many of the latest.
        keep_media_bytes: uploaded content that stays fetchable, oldest dropped; default 256 MiB.
        job_s: seconds from a video's create to its end, or (least, most); default 2; inf: never.
        result_bytes: least size of a result video; default 0: a few KB.
        webhooks: how those are called back who gave a `replyUrl`; a `Webhooks` or its text.
        on_webhook: gets the callbacks instead of their URLs; may be async, may return a status.
        on_call: a plain function, told of each `Call` once it is known what will be sent.
        foreign: who else is at work on the accounts; a `ForeignWriter` or its text, default nobody.
        **views: how far what is shown is from the truth; see the table in `views.py`.

    Examples:
        >>> emulator = Emulator(accounts=["ada@example.com"])
        >>> async with emulator.serve() as base_url:
        ...     async with AsyncKlingClient("user:1-test", base_url=base_url) as kling:
        ...         ada = await kling.avatars.create(image="ada.jpg", nickname="Ada")
        >>> [one.nickname for one in emulator.avatars]
        ['Ada']
    """

    def __init__(
        self,
        accounts: Iterable[str | EmulatedAccount] | None = None,
        token: str | None = None,
        quota: RateLimit | Mapping[str, RateLimit] | None = None,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        clock: EmulatorClock | None = None,
        latency_s: float = 0.0,
        *,
        quota_form: RetryForm = "seconds",
        quota_operations: Collection[str] | None = None,
        record_calls: bool | int = True,
        keep_media_bytes: int = 256 * 1024 * 1024,
        job_s: float | tuple[float, float] = 2.0,
        result_bytes: int = 0,
        webhooks: Webhooks | str = "",
        on_webhook: OnWebhook | None = None,
        on_call: OnCall | None = None,
        foreign: ForeignWriter | str | None = None,
        **views: Unpack[ViewOptions],
    ) -> None:
        self.latency_s = latency_s
        self._token = token
        self._seed = seed
        self._accounts = configured(accounts)
        self._record_calls = record_calls
        self._keep_media_bytes = keep_media_bytes
        self._clock = clock or EmulatorClock()
        self._plan = FaultPlan(faults, seed, NAMES)
        self._quota = Quota(quota, self._clock, form=quota_form, operations=quota_operations)
        self._views = Views(**views)
        writer = ForeignWriter.parse(foreign) if isinstance(foreign, str) else foreign
        self._foreign = Foreign(self._clock, self._views, writer)
        self._job_s = job_s if isinstance(job_s, tuple) else (job_s, job_s)
        if not 0 <= self._job_s[0] <= self._job_s[1]:
            raise ValueError(f"job_s must be seconds or (least, most), not {job_s!r}")
        self._result_bytes = result_bytes
        options = Webhooks.parse(webhooks) if isinstance(webhooks, str) else webhooks
        self._webhook_delivery = WebhookDelivery(self._clock, options, record_calls, on_webhook)
        self._world = self._new_world()
        self._changes = 0
        self._on_call = on_call
        self._log = CallLog(record_calls, on_call)

    # Ways in

    def transport(self) -> EmulatorTransport:
        """For `AsyncKlingClient(transport=...)`, which needs no token then, or httpx's own.

        Any host in the URL will do.

        Examples:
            >>> client = httpx.AsyncClient(transport=Emulator().transport())
        """
        return EmulatorTransport(self, *(() if self._token is None else (self._token,)))

    def serve(
        self, host: str = "127.0.0.1", port: int = 0, *, is_open: bool = False
    ) -> AbstractAsyncContextManager[str]:
        """A real server while the context lasts; gives the base URL, `http://host:port/v1/kling`.

        Args:
            host: address to listen on; anything but loopback closes `/` and `/_emulator`.
            port: 0, the default, takes a free one.
            is_open: True leaves them open: who reaches the server may then do all they do.

        Examples:
            >>> async with emulator.serve() as base_url:
            ...     print(base_url)
            http://127.0.0.1:.../v1/kling
        """
        return serve(self, host, port, path=API_ROOT, is_open=is_open)

    # Changing things while it runs

    def add_faults(self, faults: Iterable[Fault]) -> None:
        """Append to the plan; a fault counts matching calls from now on.

        Examples:
            >>> emulator.add_faults([Fault("avatars.create", "reset_after", at=1)])
        """
        self._plan.add(faults)

    def remove_faults(self, faults: Iterable[Fault] | None = None) -> list[Fault]:
        """Take these faults back, None: all; those that were there, and strike no more.

        Examples:
            >>> emulator.remove_faults()
            []
        """
        return self._plan.remove(faults)

    def set_quota(
        self,
        quota: RateLimit | Mapping[str, RateLimit] | None,
        *,
        form: RetryForm = "seconds",
        operations: Collection[str] | None = None,
    ) -> None:
        """Replace the quota; windows start empty.

        Args:
            quota: at most `requests` in any `per_s` seconds per account, one for all or by e-mail;
                None: no limit.
            form: seconds, date, body or none; see `Quota`.
            operations: names the quota counts; None: all that belong to an account.

        Examples:
            >>> emulator.set_quota(RateLimit(2, per_s=1))
        """
        self._quota = Quota(quota, self._clock, form=form, operations=operations)

    def reset(self) -> None:
        """Back to the start: nothing made, no calls, the first faults unstruck; time runs on.

        Examples:
            >>> emulator.reset()
            >>> len(emulator.calls)
            0
        """
        self._world = self._new_world()
        self._log = CallLog(self._record_calls, self._on_call)
        self._plan.reset()
        self._quota.forget()
        self._webhook_delivery.forget()
        self._foreign.forget()

    # Its state, for a file

    @property
    def changes(self) -> int:
        """A number that is another one whenever something may have changed by other hands."""
        return self._changes

    def dump_state(self) -> tuple[dict[str, object], dict[str, bytes]]:
        """What exists and the clock, ready for JSON, and the content of files by SHA-256.

        Examples:
            >>> state, contents = emulator.dump_state()
            >>> emulator.restore_state(json.dumps(state).encode(), contents.values())
        """
        return dumped(self._world, self._clock), self._world.blobs()

    def restore_state(self, text: bytes, contents: Iterable[bytes]) -> None:
        """Go on with such a state as JSON; the accounts named to this emulator are added to it.

        Raises:
            ValueError: the text is damaged or something else; nothing has changed.
        """
        world = restored(text, self._clock, self._keep_media_bytes)
        for content in contents:
            world.keep_blob(content)
        world.accounts |= self._accounts
        self._accounts = dict(world.accounts)
        self._world = world

    # One request

    def refusal(self, request: Request) -> str | None:
        """How the connection for a request fails, before anything is sent; None where it does not.

        A request whose connection fails is counted by the plan; any other not before it arrives.
        """
        if not self._plan.may_refuse or ownpages.is_own(request):
            return None
        _, name, _, account = self._known(request)
        fault = self._plan.next(name, account)
        if fault is None or fault.refusal is None:
            return None
        self._plan.take(name, account)
        return fault.refusal

    def receive(self, request: Request) -> Exchange:
        """Take in one request: number it, choose its fault; the work itself comes with `work()`."""
        if ownpages.is_own(request):
            return Exchange(0.0, lambda: self._own_page(request))
        match, name, given, account = self._known(request)
        operation = match.operation
        fault = self._plan.take(name, account)
        refused = fault is not None and fault.refusal is not None
        has_fields = operation is not None and operation.reads_body_fields
        call = self._log.open(
            request,
            operation=name,
            fields=given if has_fields and not isinstance(given, Refusal) else None,
            secrets=operation.secrets if operation else (),
            account=account,
            at_ms=self._clock.now_ms(),
            at_s=self._clock.monotonic(),
            refused=refused,
        )
        if fault is not None:
            call.fault = fault.kind
        if refused:
            self._log.close(call, Delivery(), worked=False, now_s=call.at_s)
            return Exchange(0.0, Delivery, refused=True)
        is_media = operation is not None and operation.open_to_all
        wait_s = (0.0 if is_media else self.latency_s) + (fault.delay_before_s if fault else 0.0)
        return Exchange(wait_s, lambda: self._work(request, match, given, call, fault))

    def _known(self, request: Request) -> tuple[Match, str, Given | Refusal, str | None]:
        """Its route, its operation's name, its fields, and the account it counts for."""
        match = _ROUTES.find(request.method, request.segments)
        operation = match.operation
        given = given_fields(request, operation)
        account = named_account(operation, given, match.path, self._world.accounts)
        return match, "unknown" if operation is None else operation.name, given, account

    def _work(
        self,
        request: Request,
        match: Match,
        given: Given | Refusal,
        call: Call,
        fault: Fault | None,
    ) -> Delivery:
        reply: Reply | None = None
        if call.operation in CREATES and not isinstance(given, Refusal):
            self._foreign.sees(call.operation, given, call.account, self._world)
        if fault is None or fault.does_work:
            try:
                reply = self._answer(request, match, given, call, fault)
            except Refusal as refusal:
                reply = refusal.reply
        if fault is not None:
            delivery = strike(fault, request, reply, self._clock.now_ms())
        elif reply is not None:
            delivery = Delivery.of(dressed(reply, self._clock.now_ms()))
        else:  # pragma: no cover - without a fault the work is done
            raise AssertionError
        worked = reply is not None and reply.status < 300
        self._changes += 1
        self._log.close(call, delivery, worked=worked, now_s=self._clock.monotonic())
        if reply is None or reply.started is None:
            return delivery
        follow_up = self._webhook_delivery.follow_up(reply.started, self._world)
        return evolve(delivery, follow_up=follow_up)

    def _answer(
        self,
        request: Request,
        match: Match,
        given: Given | Refusal,
        call: Call,
        fault: Fault | None,
    ) -> Reply:
        operation = match.operation
        if operation is None:
            if request.segments[: len(_API_SEGMENTS)] == _API_SEGMENTS:
                check_token(request, self._token)
            return _no_such_route(request, match)
        if not operation.open_to_all:
            check_token(request, self._token)
        if isinstance(given, Refusal):
            raise given
        account = chosen_account(operation, given, self._world.accounts)
        counted = account or match.path.get("email")
        refused = self._quota.admit(operation.name, counted) if counted else None
        if refused is not None:
            return refused
        context = self._context(request, match, given)
        return operation.work(
            evolve(context, account=account, call_number=call.number, fault=fault)
        )

    def media(self, request: Request) -> Reply:
        """A file as its own address has it, without a call; Refusal 404 where there is none.

        Args:
            request: for that address, with one segment more before it.
        """
        match = _ROUTES.find("GET", request.segments[1:])
        if match.operation is None or not match.operation.open_to_all:
            raise not_found("There is no such file")
        return match.operation.work(self._context(request, match, {}))

    def _context(self, request: Request, match: Match, given: Given) -> Context:
        return Context(
            world=self._world,
            views=self._views,
            clock=self._clock,
            request=request,
            fields=Fields(given),
            path=match.path,
            account="",
            call_number=0,
            job_s=self._job_s,
            result_bytes=self._result_bytes,
            retry_form=self._quota.form,
        )

    def _own_page(self, request: Request) -> Delivery:
        self._changes += request.method not in ("GET", "HEAD")
        try:
            reply = ownpages.answer(self, request)
        except Refusal as refusal:
            reply = refusal.reply
        return Delivery.of(dressed(reply, self._clock.now_ms()))

    def _new_world(self) -> World:
        return World(dict(self._accounts), Ids(self._seed), self._keep_media_bytes)


def _no_such_route(request: Request, match: Match) -> Reply:
    if request.segments == (*_API_SEGMENTS, "mcp"):
        return error("The emulator does not have the MCP endpoint, which the vendor has", 501)
    if match.allowed:
        text = f"{request.method} is not allowed here; use {', '.join(match.allowed)}"
        return error(text, 405).with_headers(("Allow", ", ".join(match.allowed)))
    return error(f"There is nothing at {request.path}", 404)
