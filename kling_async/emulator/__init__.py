"""What would the Kling API v1 of useapi.net do? An emulator: behaviour, faults, its own clock.

    emulator = Emulator(faults=[Fault("avatars.create", "reset_after", at=1)])
    async with httpx.AsyncClient(transport=emulator.transport()) as client: ...
    async with emulator.serve() as base_url: ...

Written from the API reference alone and independent of the client in this package, so that each
checks the other. Needs the extra `emulator`. The kinds of faults are in `faultkinds.py`.
"""

from .calls import Call
from .clock import EmulatorClock
from .emulator import Emulator
from .faults import Fault
from .faulttext import format_fault, parse_faults
from .foreign import ForeignWriter
from .images import sample_png
from .server import run_server
from .tasks import Task, TaskInput, Work
from .transport import EmulatorTransport
from .views import Views, parse_views
from .webhooks import Webhook, Webhooks
from .world import Avatar, EmulatedAccount, Speech, Upload

__all__ = [
    "Avatar",
    "Call",
    "EmulatedAccount",
    "Emulator",
    "EmulatorClock",
    "EmulatorTransport",
    "Fault",
    "ForeignWriter",
    "Speech",
    "Task",
    "TaskInput",
    "Upload",
    "Views",
    "Webhook",
    "Webhooks",
    "Work",
    "format_fault",
    "parse_faults",
    "parse_views",
    "run_server",
    "sample_png",
]
