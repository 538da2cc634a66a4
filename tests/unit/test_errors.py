"""Is the tree the one we promised, does every error survive pickling, does it say enough?"""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import kling_async
from kling_async import CreateAvatar, errors
from kling_async.errors import CallContext, KlingError

# Every class with its direct bases, as the public face draws it (LedgerError came with bulk work).
TREE: dict[str, tuple[type, ...]] = {
    "KlingError": (Exception,),
    "ConfigurationError": (errors.KlingError,),
    "InvalidRequestError": (errors.KlingError, ValueError),
    "AccountRequiredError": (errors.KlingError,),
    "NotSentError": (errors.KlingError,),
    "OutcomeUnknownError": (errors.KlingError,),
    "APIError": (errors.KlingError,),
    "BadRequestError": (errors.APIError,),
    "AuthenticationError": (errors.APIError,),
    "SubscriptionError": (errors.APIError,),
    "PermissionDeniedError": (errors.APIError,),
    "NotFoundError": (errors.APIError,),
    "TaskNotFoundError": (errors.NotFoundError,),
    "GoneError": (errors.APIError,),
    "InsufficientCreditsError": (errors.APIError,),
    "ContentModeratedError": (errors.APIError,),
    "RateLimitedError": (errors.APIError,),
    "ServerError": (errors.APIError,),
    "AccountBrokenError": (errors.APIError,),
    "UnexpectedResponseError": (errors.KlingError,),
    "AvatarFailedError": (errors.KlingError,),
    "TaskFailedError": (errors.KlingError,),
    "TaskModeratedError": (errors.TaskFailedError,),
    "DeadlineExceededError": (errors.KlingError, TimeoutError),
    "LocalFileError": (errors.KlingError, OSError),
    "LedgerError": (errors.KlingError,),
}

CONTEXT = CallContext("POST", "/avatars", "ada@example.com", attempts=3, elapsed_s=12.34)

# A value for every argument any error takes.
ARGUMENTS: dict[str, Any] = {
    "text": "something is wrong",
    "what": "CreateAvatar",
    "problems": {"nickname": "too long", "scene": "unknown"},
    "accounts": ("a@b.c", "d@e.f"),
    "request": CreateAvatar(image_url="https://x.y/z.png", nickname="Ada"),
    "account": "ada@example.com",
    "sent_at": datetime(2026, 7, 14, 9, 30, tzinfo=UTC),
    "candidates": ("one", "two"),
    "status_code": 418,
    "message": "a teapot",
    "code": "T.POT",
    "body": {"error": ["teapot"]},
    "retry_after_s": 7.5,
    "headers": {"x-request-id": "r1"},
    "errno": 28,
    "task": {"id": 7},
    "context": CONTEXT,
}


def classes() -> list[type[KlingError]]:
    found = [one for one in vars(errors).values() if inspect.isclass(one)]
    return [one for one in found if issubclass(one, Exception)]


def made(cls: type[KlingError]) -> KlingError:
    parameters = inspect.signature(cls.__init__).parameters
    given = {name: ARGUMENTS[name] for name in parameters if name != "self"}
    return cls(**given)


def test_tree_is_complete() -> None:
    assert {cls.__name__ for cls in classes()} == set(TREE)


@pytest.mark.parametrize("name", TREE)
def test_bases(name: str) -> None:
    assert getattr(errors, name).__bases__ == TREE[name]


@pytest.mark.parametrize("name", TREE)
def test_is_on_the_face(name: str) -> None:
    assert getattr(kling_async, name) is getattr(errors, name)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_pickles_with_every_field(cls: type[KlingError]) -> None:
    error = made(cls)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is cls
        assert vars(again) == vars(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert repr(again) == repr(error)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_constructor_arguments_become_attributes(cls: type[KlingError]) -> None:
    error = made(cls)
    for name in inspect.signature(cls.__init__).parameters:
        if name not in ("self", "what"):
            assert getattr(error, name) == ARGUMENTS[name] or name == "text"


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_copies(cls: type[KlingError]) -> None:
    error = made(cls)
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert type(again) is cls
        assert str(again) == str(error)
        assert vars(again) == vars(error)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_says_verb_route_account_attempts_and_seconds(cls: type[KlingError]) -> None:
    text = str(made(cls))
    for part in ("POST", "/avatars", "ada@example.com", "3 attempts", "12.3 s"):
        assert part in text


def test_one_attempt_is_singular_and_no_account_is_said() -> None:
    text = str(CallContext("GET", "/accounts", None, attempts=1, elapsed_s=0.04))
    assert text == "GET /accounts, account (none named), 1 attempt, 0.0 s"


@pytest.mark.parametrize(("given", "shown"), [
    ("é", "é"), ("a\ud83db", "a\ufffdb"), ("\udcff\udcfe", "\ufffd\ufffd"), ("\ud83d\ude00", "😀"),
])  # fmt: skip
def test_the_name_of_a_file_breaks_nobody_who_prints_it(given: str, shown: str) -> None:
    error = errors.InvalidRequestError("CreateAvatar", {"image": f"{given} can't be read"})
    assert error.problems == {"image": f"{shown} can't be read"}
    assert str(error) == f"CreateAvatar was not sent: image: {shown} can't be read"
    assert KlingError(given).text == str(KlingError(given)) == shown


def test_without_context_the_text_stands_alone() -> None:
    assert str(errors.NotSentError("nothing was sent")) == "nothing was sent"


def test_invalid_request_lists_every_problem_in_its_text() -> None:
    error = errors.InvalidRequestError("CreateAvatar", {"a": "is b", "c": "is d"})
    assert str(error) == "CreateAvatar was not sent: a: is b; c: is d"
    assert error.problems == {"a": "is b", "c": "is d"}


@pytest.mark.parametrize(("cls", "builtin"), [
    (errors.InvalidRequestError, ValueError),
    (errors.DeadlineExceededError, TimeoutError),
])  # fmt: skip
def test_builtin_except_clauses_catch_it(cls: type[KlingError], builtin: type) -> None:
    with pytest.raises(builtin):
        raise made(cls)


def test_module_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(errors.__file__).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert not (node.module or "").startswith("kling_async")
        elif isinstance(node, ast.Import):
            assert not any(one.name.startswith("kling_async") for one in node.names)
