"""Which pages are the emulator's own, and who may ask for them?

    GET /                      the page for people: `page.py`
    GET /openapi.json          the operations; served to anybody
    .../_emulator/...          see `inspection.py`
    GET /_emulator/media/...   files, as at `/media/...`

No token is needed, so a server that listens beyond loopback refuses all but one of them, unless it
was opened. These requests are neither numbered nor recorded, and no fault strikes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import openapi, page
from .envelopes import Refusal, error, not_found
from .inspection import ENDPOINTS
from .messages import Reply, Request

if TYPE_CHECKING:
    from .emulator import Emulator

_ROOT, _OPENAPI = "_emulator", "openapi.json"


def is_own(request: Request) -> bool:
    """Whether a request is for one of them."""
    return request.segments[:1] in ((), (_ROOT,), (_OPENAPI,))


def answer(emulator: Emulator, request: Request) -> Reply:
    """The page asked for; Refusal 403 where it may not be, 404 or 405 where there is none."""
    method = "GET" if request.method == "HEAD" else request.method
    if request.segments == (_OPENAPI,) and method == "GET":
        return Reply.of_json(openapi.document())
    if not request.local:
        text = "Only served by a server that listens on loopback, or with --open, as localhost or"
        raise Refusal(error(f"{text} by its IP address", 403))
    if method != "GET" and _comes_from_another_page(request):
        raise Refusal(error("Not for a page of another origin", 403))
    if not request.segments and method == "GET":
        return page.reply(emulator, request)
    name = "/".join(request.segments[1:])
    if name.startswith("media/") and method == "GET":
        return emulator.media(request)
    if (endpoint := ENDPOINTS.get((method, name))) is not None:
        return Reply.of_json(endpoint.work(emulator, request))
    if any(name == known for _, known in ENDPOINTS):
        raise Refusal(error(f"{request.method} is not allowed here", 405))
    raise not_found(f"There are: {', '.join(' '.join(one) for one in ENDPOINTS)}")


def _comes_from_another_page(request: Request) -> bool:
    """Browsers tell where a request comes from that changes something; other programs need not."""
    origin, site = request.header("origin"), request.header("sec-fetch-site")
    try:
        foreign = origin is not None and urlsplit(origin).netloc != request.header("host")
    except ValueError:
        return True
    return foreign or site in ("cross-site", "same-site")
