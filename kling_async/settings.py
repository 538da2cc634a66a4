"""What is each default, in which unit, for which reason; and what does the environment say?

`client.py` reads this once, when a client is made; nothing is read at import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from .errors import ConfigurationError

BASE_URL = "https://api.useapi.net/v1/kling"

CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 60.0  # an upload of 10 MB over a slow line
EXCHANGE_WITHIN_S = 600.0  # in all: a server that trickles meets no other timeout
SLOWEST_UPLOAD_BYTES_PER_S = 16 * 1024  # what the line of an upload may be at least
MOST_HEADER_BYTES = 64 * 1024  # of one header, on both transports
MOST_ANSWER_BYTES = 16 * 2**20  # decoded: a thousand avatars with long prompts are 3 MB
READ_TIMEOUT_S = 180.0  # how long POST /avatars takes is unknown; the reference advises >= 120 s
POOL_TIMEOUT_S = 60.0
FILE_READ_TIMEOUT_S = 60.0  # of a download, per piece

DOWNLOADS_AT_ONCE = 16  # more would only share the line, and wait in the pool for their turn

MAX_CONNECTIONS = 500  # below the 1,024 files a process may usually open
# Behind a proxy httpx's one pool carries all. It looks at every connection on every event: with
# all 100 kept alive a request costs 13 ms of CPU; with 20 it costs one, as the rest are closed.
MAX_CONNECTIONS_PROXIED = 100
MAX_IDLE_CONNECTIONS_PROXIED = 20
CLOSE_WITHIN_S = 10.0  # how long closing waits for exchanges under way
KEEPALIVE_EXPIRY_S = 5.0  # short: a stale connection looks just like a lost answer

ATTEMPTS = 5
WAIT_INITIAL_S = 0.5
WAIT_MAX_S = 60.0
RETRY_AFTER_ABSENT_S = 10.0  # the vendor's own samples sleep 10 s after a 429
RETRY_AFTER_ABSURD_S = 30.0  # negative, NaN, garbage or past
RETRY_AFTER_MAX_S = 900.0  # beyond it the caller hears at once instead of waiting

RECONCILE_WITHIN_S = 120.0  # see docs/lost-answers.md; later runs of a bulk job look again
LOOK_AFTER_S = (0.2, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0)  # waits between looks; the last repeats
LOOK_PAGES = 20  # of an account's tasks, at most, that one look reads
WHOLE_WITHIN_S = 10.0  # to ask for the record of a job that was found: its id is known already
WAIT_FOR_DATABASE_S = 600.0  # a fail-over takes some minutes; nothing is sent meanwhile
CLOCK_SLACK_S = 600.0  # how far Kling's clock may be from ours
RESULTS_REMEMBERED = 1000  # at least, of those made last: some 200 kB; see _calls/claims.py

POLL_WAITS_S = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0)  # the vendor's samples: 15 to 20 s
WAIT_WITHIN_S = 3600.0  # how long a job is waited for; the vendor's scheduler tracks as long
LOOK_WITHIN_S = 30.0  # a look that takes longer is given up; the next one comes by itself
MISSING_FOR_S = 15.0  # how long an id that nothing has ever shown may stay a 404; see missing.py
GONE_AFTER_S = 120.0  # the same of a begun job that shows nowhere: it may be paid for, and running
SEARCH_PAGES = 5  # of the history, for a missing task of which nobody knows when it was made
LAST_LOOK_S = 2.0  # before a deadline, so that its answer comes in time
READS_AT_ONCE = 8  # of one account's tasks
LIST_FROM = 4  # due tasks from which the history is asked before each of them
LIST_AGAIN_AFTER_S = 60.0  # once it spared too little
GATHER_S = 1.0  # added to waits where so many wait, so that they come due together
READ_EVERY = 5  # looks: every fifth is not left to the history

REQUESTS_PER_S = 10  # no quota is published; this is calm for one account
LEARN_FROM_PER_S = 10.0  # where an adaptive rate begins; 5 found 40/s twice as late in simulation
LEARN_UP_TO_PER_S = 1000  # of the command line's --rate auto
LEARNING_ABSENT_S = 0.25  # for a rate that falls by itself; doubled while the probe is refused, too

PAUSE_MAX_S = 86_400.0  # a longer wait is taken for a mistake of the server's, and counts as
PAUSE_ABSURD_S = 3600.0  # this long: then one request asks again
PAUSE_JITTER = 0.01  # of a pause, added so that processes do not come back together
PAUSE_JITTER_MAX_S = 1.0
RAMP_OPEN_AT = 64  # places after a pause, one more for each answer, beyond which all may go
PROBE_WITHIN_S = 5.0  # a place more where nothing was answered for so long: creates can be slow

RETRY_BUDGET = 100  # tokens per account; a success gives one back
RETRY_COST = 10  # of a retry, but for those after a 429

JOB_TRACKED_S = 3600.0  # the server tracks a job for at most so long
JOB_LOOK_EVERY_S = 15.0  # how often those who wait for a job slot look whether one is free


def token(given: str | None, env: Mapping[str, str] = os.environ) -> str:
    """The API token: `given`, else USEAPI_TOKEN; ConfigurationError where neither is usable."""
    found = given if given is not None else env.get("USEAPI_TOKEN")
    if not found:
        raise ConfigurationError(
            "no API token: pass AsyncKlingClient(token=...) or set USEAPI_TOKEN. Your token is "
            "shown at https://useapi.net/docs/start-here/setup-useapi; for trying things out with "
            "none, use the emulator (kling-async bulk run ... --emulator)"
        )
    if not isinstance(found, str):
        raise ConfigurationError(f"the API token must be text, not {type(found).__name__}")
    if not re.fullmatch(r"[!-~]+", found):
        raise ConfigurationError(
            "the API token holds white space or characters that can't stand in a header; "
            "copy it again, whole, including 'user:'"
        )
    return found


def accounts(env: Mapping[str, str] = os.environ) -> Iterable[str]:
    """The e-mails of KLING_ACCOUNTS, comma separated; none where it is unset."""
    return [part.strip() for part in env.get("KLING_ACCOUNTS", "").split(",") if part.strip()]


def base_url(given: str | None, env: Mapping[str, str] = os.environ) -> str:
    """The API's address without a trailing slash: `given`, else KLING_BASE_URL, else the vendor's.

    `http://` would send the token in the clear, so it is refused unless the host is this machine.
    """
    url = given if given is not None else env.get("KLING_BASE_URL") or BASE_URL
    if not isinstance(url, str):
        raise ConfigurationError(f"the base URL must be text, not {type(url).__name__}")
    url = url.rstrip("/")
    before, _, after = url.rpartition("@")
    shown = repr(f"***@{after}" if before else url)
    if not url.isprintable() or " " in url:  # half a character is not printable either
        raise ConfigurationError(f"base URL {shown} holds what no address does; copy it again")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        why = "" if before else f": {exc}"
        raise ConfigurationError(f"base URL {shown} can't be read{why}") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ConfigurationError(f"base URL {shown} must begin with https:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("the base URL must hold no user, password, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"base URL {shown} would send your token unencrypted; use https:// "
            f"(http:// is allowed for this machine only, as for the emulator)"
        )
    return url


def service_name(url: str) -> str:
    """What a bulk ledger calls the service at `url`. All ports of this machine are one service."""
    host = urlsplit(url).hostname or ""
    return "a server on this machine" if is_loopback(host) else host


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
