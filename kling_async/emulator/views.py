"""How far is what is shown from the truth? Late, cut, shuffled, empty, undated listings, and more.

| option | default | what the caller sees |
| --- | --- | --- |
| `listing_lag_s` | 0 | a new avatar shows in `GET /avatars` that many seconds late |
| `listing_limit` | all | `GET /avatars` has that many of the newest: 20, 50, 100 |
| `listing_shuffled` | no | `GET /avatars` in no order instead of newest first |
| `listing_empty` | 0 | the first so many `GET /avatars` of an account answer an empty array |
| `rehost_images` | no | `GET /avatars` shows another address than the create was given |
| `history_lag_s` | 0 | a new task shows in `GET /tasks` that many seconds late |
| `history_limit` | all | `GET /tasks` knows that many of the newest |
| `history_shuffled` | no | each page of `GET /tasks` in no order |
| `history_empty` | 0 | the first so many `GET /tasks` of an account answer no history |
| `history_inclusive` | no | createdBefore and createdAfter include their own millisecond |
| `history_works_only` | no | `GET /tasks` shows `works` alone, so unfinished tasks are out |
| `scheduler_lag_s` | 0 | a new task shows in `GET /scheduler` that many seconds late |
| `scheduler_limit` | all | `GET /scheduler` has that many of the newest |
| `scheduler_shuffled` | no | `GET /scheduler` in no order |
| `scheduler_empty` | 0 | the first so many `GET /scheduler` answer an empty array |
| `rehost_inputs` | no | tasks show other addresses of their inputs than the create was given |
| `task_visible_after_s` | 0 | `GET /tasks/{id}` answers 404 for so long after the create |
| `task_hidden_for_s` | 0 | the same from `task_hidden_from_s` (0) on; listings show it |
| `create_time_absent` | no | avatars and tasks are shown without `createTime` and `updateTime` |
| `create_time_skew_s` | 0 | `createTime` comes from a clock so many seconds ahead of `Date` |
| `upload_by_content` | no | equal files of an account get equal upload addresses |

Ground truth (`emulator.avatars`, `.tasks`, `.uploads`) is not touched by any of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypedDict, TypeVar, cast

from attrs import asdict, frozen

from .optiontext import read_options

T = TypeVar("T")
_TIMES = ("createTime", "updateTime")


@frozen(kw_only=True)
class Views:
    """The options above; see the table for the meaning of each.

    Raises:
        ValueError: a value that makes no sense.

    Examples:
        >>> late = Emulator(listing_lag_s=2, listing_limit=20)
    """

    rehost_images: bool = False
    listing_lag_s: float = 0.0
    listing_limit: int | None = None
    listing_shuffled: bool = False
    listing_empty: int = 0
    rehost_inputs: bool = False
    task_visible_after_s: float = 0.0
    task_hidden_from_s: float = 0.0
    task_hidden_for_s: float = 0.0
    history_lag_s: float = 0.0
    history_limit: int | None = None
    history_shuffled: bool = False
    history_empty: int = 0
    history_inclusive: bool = False
    history_works_only: bool = False
    scheduler_lag_s: float = 0.0
    scheduler_limit: int | None = None
    scheduler_shuffled: bool = False
    scheduler_empty: int = 0
    create_time_absent: bool = False
    create_time_skew_s: float = 0.0
    upload_by_content: bool = False

    def __attrs_post_init__(self) -> None:
        for name, value in cast("dict[str, float | None]", asdict(self)).items():
            low = -math.inf if name == "create_time_skew_s" else 0
            if value is not None and not low <= value < math.inf:
                raise ValueError(f"{name} must be 0 or more, not {value!r}")


class ViewOptions(TypedDict, total=False):
    """The same as keyword arguments."""

    rehost_images: bool
    listing_lag_s: float
    listing_limit: int | None
    listing_shuffled: bool
    listing_empty: int
    rehost_inputs: bool
    task_visible_after_s: float
    task_hidden_from_s: float
    task_hidden_for_s: float
    history_lag_s: float
    history_limit: int | None
    history_shuffled: bool
    history_empty: int
    history_inclusive: bool
    history_works_only: bool
    scheduler_lag_s: float
    scheduler_limit: int | None
    scheduler_shuffled: bool
    scheduler_empty: int
    create_time_absent: bool
    create_time_skew_s: float
    upload_by_content: bool


def parse_views(text: str) -> ViewOptions:
    """The options in a text, `listing_lag_s=2,listing_limit=20,listing_shuffled`.

    Raises:
        ValueError: says which word makes no sense, and what is allowed.

    Examples:
        >>> late = Emulator(**parse_views("listing_lag_s=2,listing_limit=20"))
    """
    return cast("ViewOptions", read_options(Views, text, called="views"))


def excerpt(newest_first: Sequence[T], limit: int | None, shuffled: bool, seed: int) -> list[T]:
    """The newest of them, in their order or in none."""
    shown = list(newest_first[:limit])
    if shuffled:
        random.Random(seed).shuffle(shown)
    return shown


def undated(entry: object) -> object:
    """The same without `createTime` and `updateTime`, at any depth."""
    if isinstance(entry, dict):
        pairs = cast("dict[str, object]", entry).items()
        return {name: undated(value) for name, value in pairs if name not in _TIMES}
    if isinstance(entry, list):
        return [undated(one) for one in cast("list[object]", entry)]
    return entry
