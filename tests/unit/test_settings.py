"""What do arguments and environment come to, and what is refused before anything is sent?"""

from __future__ import annotations

import pytest

from kling_async import AsyncKlingClient, ConfigurationError
from kling_async import settings as s

TOKEN = "user:12345-abcdefghi"


def test_given_token_wins_over_environment() -> None:
    assert s.token(TOKEN, {"USEAPI_TOKEN": "user:1-other"}) == TOKEN


def test_token_from_environment() -> None:
    assert s.token(None, {"USEAPI_TOKEN": TOKEN}) == TOKEN


@pytest.mark.parametrize(("given", "env"), [
    (None, {}), (None, {"USEAPI_TOKEN": ""}), ("", {}), ("", {"USEAPI_TOKEN": TOKEN}),
])  # fmt: skip
def test_no_token_says_where_to_get_one(given: str | None, env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"USEAPI_TOKEN.*https://useapi\.net/\S+"):
        s.token(given, env)


@pytest.mark.parametrize("bad", [f"{TOKEN}\n", f" {TOKEN}", "user:1 2", "user:1-ä", "a\r\nX: y"])
def test_token_that_breaks_a_header_is_refused_and_not_shown(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        s.token(bad, {})
    assert bad.strip() not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [
    ("", []), (" , ,", []), ("a@b.c", ["a@b.c"]), (" a@b.c , d@e.f,", ["a@b.c", "d@e.f"]),
])  # fmt: skip
def test_accounts_from_environment(text: str, expected: list[str]) -> None:
    assert list(s.accounts({"KLING_ACCOUNTS": text})) == expected
    assert list(s.accounts({})) == []


@pytest.mark.parametrize(("given", "env", "expected"), [
    (None, {}, "https://api.useapi.net/v1/kling"),
    (None, {"KLING_BASE_URL": ""}, "https://api.useapi.net/v1/kling"),
    (None, {"KLING_BASE_URL": "https://proxy.example/kling/"}, "https://proxy.example/kling"),
    ("https://mine.example", {"KLING_BASE_URL": "https://other"}, "https://mine.example"),
    ("https://mine.example/a//", {}, "https://mine.example/a"),
])  # fmt: skip
def test_base_url(given: str | None, env: dict[str, str], expected: str) -> None:
    assert s.base_url(given, env) == expected


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:8808/v1/kling", "http://localhost", "http://[::1]:99", "http://127.9.9.9",
])  # fmt: skip
def test_plain_http_to_this_machine_is_allowed(url: str) -> None:
    assert s.base_url(url, {}) == url


@pytest.mark.parametrize("url", [
    "http://api.useapi.net/v1/kling", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.evil",
    "http://127.0.0.1.evil.com", "http://[2001:db8::1]",
])  # fmt: skip
def test_plain_http_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        s.base_url(url, {})


@pytest.mark.parametrize("url", [
    "", "api.useapi.net", "ftp://x.y", "https://", "https:///v1", "https://x:port/", "https://[::1",
    "https://x.y/\udcff", "https://x y.z", "https://x.y\n", "https://x.y/\x1b[2J",
    "https://user:pass@x.y", "https://user@x.y", "https://x.y/?a=b", "https://x.y/#f", "/v1",
])  # fmt: skip
def test_unusable_base_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        s.base_url(url, {})


@pytest.mark.parametrize("url", [
    "https://user:hunter2@x.y", "https://user:hunter2@x.y:port", "ftp://user:hunter2@x.y",
    "user:hunter2@x.y", "https://user:hunter2@x.y/ ", "https://user:hunter2 @x.y",
    "https://user:hun@hunter2@x.y:port", "https://hunter2:p@[::1",
])  # fmt: skip
def test_a_password_in_the_base_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        s.base_url(url, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("url", "name"), [
    ("https://api.useapi.net/v1/kling", "api.useapi.net"),
    ("http://127.0.0.1:1/v1/kling", "a server on this machine"),
    ("http://localhost:2", "a server on this machine"),
    ("http://[::1]:3", "a server on this machine"),
])  # fmt: skip
def test_service_name(url: str, name: str) -> None:
    assert s.service_name(url) == name


def test_environment_is_read_when_a_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError):
        AsyncKlingClient()
    monkeypatch.setenv("USEAPI_TOKEN", TOKEN)
    monkeypatch.setenv("KLING_ACCOUNTS", "a@b.c,d@e.f")
    monkeypatch.setenv("KLING_BASE_URL", "http://127.0.0.1:9/v1/kling")
    kling = AsyncKlingClient()
    assert repr(kling) == "AsyncKlingClient('http://127.0.0.1:9/v1/kling', accounts=2)"
    assert [one.email for one in kling.accounts] == ["a@b.c", "d@e.f"]


def test_given_accounts_win_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_ACCOUNTS", "a@b.c,d@e.f")
    kling = AsyncKlingClient(TOKEN, accounts=["x@y.z"])
    assert [one.email for one in kling.accounts] == ["x@y.z"]


@pytest.mark.parametrize("options", [
    {"transport": "carrier pigeon"}, {"deadline_s": 0}, {"deadline_s": -1}, {"deadline_s": "9"},
    {"deadline_s": True}, {"deadline_s": float("nan")}, {"accounts": ["no address"]},
])  # fmt: skip
def test_unusable_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        AsyncKlingClient(TOKEN, **options)  # type: ignore[arg-type]


def test_transport_and_http_client_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        AsyncKlingClient(TOKEN, transport="httpx", http_client=object())  # type: ignore[arg-type]
