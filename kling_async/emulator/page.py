"""What does a person see at `/`? What exists, what is asked, and what to do about it.

Everything is written out here, so the page can be read without scripts; its script asks for it
again each second and puts in what has changed. Nothing on it comes from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote

from .calls import Call
from .clock import iso_date
from .faultkinds import KINDS
from .faulttext import format_fault
from .messages import Reply, Request
from .operation import API_ROOT
from .operations import NAMES
from .records import FILE_ENDING
from .tasks import Task, Work
from .world import Avatar

if TYPE_CHECKING:
    from .emulator import Emulator

T = TypeVar("T")

_SHOWN = 60
"""So many of the newest things of each kind, and calls."""
_STEPS = (("10 s", 10), ("1 min", 60), ("10 min", 600), ("1 h", 3600))


def reply(emulator: Emulator, request: Request) -> Reply:
    """The page as of now."""
    tasks, avatars = emulator.tasks, emulator.avatars
    counted = (
        ("account", emulator.accounts),
        ("avatar", avatars),
        ("task", tasks),
        ("element", emulator.elements),
        ("upload", emulator.uploads),
        ("callback", emulator.webhooks),
    )
    kinds = (_option(name, name + "=…" * bool(kind.required)) for name, kind in KINDS.items())
    parts = {
        "base": escape(request.origin + API_ROOT),
        "now": f"<li>{iso_date(emulator.clock.now_ms())[:19].replace('T', ' ')}</li>",
        "counts": "".join(f"<li>{_counted(len(what), name)}</li>" for name, what in counted)
        + f"<li>{_counted(emulator.counts.total(), 'call')}</li>",
        "steps": "".join(
            _button(f"+{name}", "POST", "clock", {"advance_s": s}) for name, s in _STEPS
        ),
        "operations": "".join(_option(name, name) for name in ("*", *NAMES)),
        "kinds": "".join(kinds),
        "faults": "".join(
            f'<li data-n="{n}"><code>{escape(text := format_fault(fault))}</code> '
            f"struck {_counted(struck, 'time')} "
            f"{_button('switch off', 'DELETE', 'faults', {'faults': text})}</li>"
            for n, (fault, struck) in enumerate(emulator.strikes())
        ),
        "avatars": _newest(avatars, (_avatar(one) for one in reversed(avatars))),
        "tasks": _newest(tasks, (_task(one) for one in reversed(tasks))),
        "calls": _newest(emulator.calls, (_call(one) for one in reversed(emulator.calls))),
    }
    text, policy = _template()
    for name, part in parts.items():
        text = text.replace(f"<!--{name}-->", part)
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    )
    return Reply(200, text.encode("utf-8", "replace"), headers)


@cache
def _template() -> tuple[str, str]:
    """The page's frame, and the rule that lets its own style and script work, and no other."""
    text = files("kling_async.emulator").joinpath("page.html").read_text("utf-8")
    hashes = dict[str, str]()
    for name in ("style", "script"):
        inside = text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
        digest = hashlib.sha256(inside.encode()).digest()
        hashes[name] = f"'sha256-{base64.b64encode(digest).decode()}'"
    return text, (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; "
        "img-src 'self' data:; media-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _newest(all_of_them: Sequence[T], shown: Iterable[str]) -> str:
    some = "".join(islice(shown, _SHOWN))
    left = len(all_of_them) - _SHOWN
    return some + (f"<li>and {left} older, see /_emulator/state</li>" if left > 0 else "")


def _avatar(avatar: Avatar) -> str:
    picture = f'<span class="face" aria-hidden="true">{escape(avatar.nickname[:1])}</span>'
    if avatar.upload_name is not None:
        picture = f'<img alt="" loading="lazy" src="{_media(avatar.upload_name)}">'
    elif avatar.image_url.startswith(("http://", "https://")):
        picture = (
            f'<a href="{escape(avatar.image_url)}" rel="noreferrer noopener"'
            f' title="a picture from elsewhere">{picture}</a>'
        )
    facts = f"{avatar.id}, {avatar.account}{', by somebody else' if avatar.foreign else ''}"
    return (
        f'<li class="card">{picture}<div><h3 dir="auto">{escape(avatar.nickname)}</h3>'
        f'<p class="quiet">{escape(facts)}</p>'
        f'<p dir="auto">{escape(avatar.prompt[:300])}</p></div></li>'
    )


def _task(task: Task) -> str:
    now_s = task.clock.monotonic()
    state, left_s = task.state_at(now_s), task.final_s - now_s
    shown = f"{state}, {left_s:.0f} s left" if 0 < left_s < float("inf") else state
    said = next((task.arguments[one] for one in ("text", "prompt") if one in task.arguments), "")
    works = "" if task.deleted else "".join(_work(work) for work in task.works)
    facts = f"{task.id}, {task.account}{', deleted' if task.deleted else ''}"
    return (
        f'<li class="card {state}"><div><h3>{escape(task.type)}</h3>'
        f'<p class="quiet"><b>{shown}</b> {escape(facts)}'
        f"{', by somebody else' if task.foreign else ''}</p>"
        f'<p dir="auto">{escape(said[:300])}</p>'
        + (f"<p><b>{escape(task.failure)}</b></p>" if task.failure and state == "failed" else "")
        + f"{works}</div></li>"
    )


def _work(work: Work) -> str:
    source = _media(f"works/{work.id}-output.{FILE_ENDING[work.kind]}")
    if work.kind == "image":
        return f'<img alt="" loading="lazy" src="{source}">'
    if work.kind == "audio":
        return f'<audio controls preload="none" src="{source}"></audio>'
    poster = _media(f"works/covers/{work.id}.png")
    return f'<video controls playsinline preload="none" poster="{poster}" src="{source}"></video>'


def _call(call: Call) -> str:
    trouble = ' class="trouble"' if call.fault or (call.status or 500) >= 400 else ""
    answer = "under way" if call.took_s is None else f"{1000 * call.took_s:.0f} ms"
    status = call.status or ("" if call.took_s is None else "no answer")
    fault = f"<b>fault: {call.fault}</b>" if call.fault else ""
    return (
        f'<li{trouble} data-n="{call.number}"><time>{iso_date(call.at_ms)[11:19]}</time> '
        f"<b>{escape(call.method)}</b> <code>{escape(unquote(call.path)[:300])}</code> "
        f'<span dir="auto">{escape((call.account or "")[:100])}</span> {status} '
        f'<span class="quiet">{answer}</span> {fault}</li>'
    )


def _media(name: str) -> str:
    return escape(quote(f"/_emulator/media/{name}"))


def _button(text: str, method: str, page: str, body: object) -> str:
    """Works with the script alone, which shows it."""
    told = f'data-method="{method}" data-page="{page}" data-body="{escape(json.dumps(body))}"'
    return f'<button type="button" {told}>{escape(text)}</button>'


def _option(value: str, text: str) -> str:
    return f'<option value="{escape(value)}">{escape(text)}</option>'


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
