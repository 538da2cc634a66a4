"""What does the emulator let a test see? What exists, what was asked, what was sent.

The half of `Emulator` that only looks; `inspection.py` shows the same to other processes.
"""

from __future__ import annotations

from collections import Counter

from .calls import Call, CallLog
from .clock import EmulatorClock
from .delivery import WebhookDelivery
from .faults import Fault, FaultPlan
from .tasks import Task
from .views import Views
from .webhooks import Webhook
from .world import Avatar, Element, EmulatedAccount, Speech, Upload, World


class Truth:
    """The truth, read-only; lists are copies, tasks in them live on."""

    _clock: EmulatorClock
    _world: World
    _log: CallLog
    _plan: FaultPlan
    _views: Views
    _webhook_delivery: WebhookDelivery

    @property
    def clock(self) -> EmulatorClock:
        """The clock behind every timestamp, window and delay."""
        return self._clock

    @property
    def views(self) -> Views:
        """How far what is shown is from the truth."""
        return self._views

    @property
    def accounts(self) -> list[EmulatedAccount]:
        """The configured accounts."""
        return list(self._world.accounts.values())

    @property
    def avatars(self) -> list[Avatar]:
        """The personal avatars that exist, oldest first."""
        return list(self._world.avatars.values())

    @property
    def deleted_avatars(self) -> list[Avatar]:
        """The personal avatars that existed once, in order of deletion."""
        return list(self._world.deleted_avatars)

    @property
    def elements(self) -> list[Element]:
        """The elements that exist, oldest first."""
        return list(self._world.elements.values())

    @property
    def uploads(self) -> list[Upload]:
        """The uploaded files, oldest first."""
        return list(self._world.uploads.values())

    @property
    def speeches(self) -> list[Speech]:
        """The results of text to speech, oldest first."""
        return list(self._world.speeches.values())

    @property
    def tasks(self) -> list[Task]:
        """Every job that was ever started, oldest first, deleted ones too; each was paid once."""
        return list(self._world.tasks.values())

    @property
    def calls(self) -> list[Call]:
        """What was asked, oldest first, as far as `record_calls` keeps it."""
        return self._log.kept

    @property
    def webhooks(self) -> list[Webhook]:
        """The callbacks that were due, oldest first, as far as `record_calls` keeps them."""
        return self._webhook_delivery.sent

    @property
    def counts(self) -> Counter[str]:
        """Number of requests per operation name, however many records are kept."""
        return Counter(self._log.by_operation)

    @property
    def status_counts(self) -> Counter[tuple[str, int | None]]:
        """Number of finished requests per operation name and status sent (None: nothing sent)."""
        return Counter(self._log.by_status)

    def unconsumed_faults(self) -> list[Fault]:
        """The faults that have not struck as often as planned (at least once, without a plan)."""
        return self._plan.unconsumed()

    def strikes(self) -> list[tuple[Fault, int]]:
        """Every fault and how often it has struck."""
        return self._plan.strikes()
