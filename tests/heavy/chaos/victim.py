"""A runner that is there at once: the command line, imported once, forked for each order.

    order on stdin:  {"args": ["bulk", "run", ...], "env": {...}, "log": "file"}
    on stdout:       "ready" once; the child's pid when it began, its status when it ended

What the child runs is the command itself. Only waits are shorter than the defaults: a killed
process sees no difference, and a thousand runs would otherwise take days.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import aiohttp  # noqa: F401  imported here once instead of in each child
import httpx_aiohttp  # noqa: F401
from engine import shorten
from failpoints import arm

from kling_async.cli.app import cli


def be(order: dict[str, Any]) -> NoReturn:
    """Carry out one order, in the child."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for file, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(file, number)
    os.environ.update(order["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 70
    try:
        if "CHAOS_FAILPOINT" in os.environ:
            name, passes = os.environ["CHAOS_FAILPOINT"].split()
            arm(name, int(passes))
        cli(order["args"])
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except KeyboardInterrupt:  # before the command was ready for it
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """One order after the other, until stdin ends."""
    shorten()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until a child is ready for it
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            be(order)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
