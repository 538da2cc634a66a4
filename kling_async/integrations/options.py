"""How does a function take what the client takes, without saying it all again?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

from ..client import AsyncKlingClient

P = ParamSpec("P")
T = TypeVar("T")


def _taking(what: Callable[P, object]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    def dress(function: Callable[..., T]) -> Callable[P, T]:
        returns = inspect.signature(function).return_annotation
        shown = inspect.signature(what).replace(return_annotation=returns)
        cast(Any, function).__signature__ = shown  # for help() and editors
        return function

    return dress


takes_client_options: Final = _taking(AsyncKlingClient)
"""Gives the function below it the arguments of `AsyncKlingClient`, for people and type checkers."""
