"""What do variables of the environment mean, and which can't work?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import ConfigurationError
from kling_async._transport import environment
from kling_async._transport.environment import proxies_of_machine, tls_context

FAR = "https://api.useapi.net/v1/kling/avatars"


def way_to(url: str) -> str | None:
    return proxies_of_machine().for_url(httpx.URL(url))


@pytest.mark.parametrize(("name", "value", "url", "way"), [
    ("HTTPS_PROXY", "http://p:3128", FAR, "http://p:3128"),
    ("https_proxy", "http://p:3128", FAR, "http://p:3128"),
    ("HTTPS_PROXY", "p:3128", FAR, "http://p:3128"),
    ("ALL_PROXY", "http://p", FAR, "http://p"),
    ("HTTP_PROXY", "http://p", FAR, None),
    ("HTTP_PROXY", "http://p", "http://a.b/c", "http://p"),
    ("HTTPS_PROXY", "", FAR, None),
])  # fmt: skip
def test_the_way_to_a_server(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, url: str, way: str | None
) -> None:
    monkeypatch.setenv(name, value)
    assert way_to(url) == way


@pytest.mark.parametrize("host", [
    "127.0.0.1", "127.8.8.8", "localhost", "[::1]", "LOCALHOST", "localhost:8808", "127.0.0.1:9",
])  # fmt: skip
@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_never_a_proxy_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str, host: str
) -> None:
    monkeypatch.setenv(name, "http://p:3128")
    assert way_to(f"http://{host}/v1/kling") is None
    assert way_to(f"https://{host}/v1/kling") is None


@pytest.mark.parametrize(("listed", "host", "direct"), [
    ("*", "a.b", True), ("a.b", "a.b", True), ("a.b", "x.a.b", True), (".a.b", "x.a.b", True),
    ("*.a.b", "x.a.b", True), ("a.b", "xa.b", False), ("A.B", "a.b", True), ("a.b.", "a.b", True),
    ("a.b:443", "a.b", True), ("a.b:80", "a.b", False), ("x, a.b ,y", "a.b", True),
    ("10.0.0.0/8", "10.9.8.7", True), ("10.0.0.0/8", "11.9.8.7", False),
    ("10.9.8.7", "10.9.8.7", True),
    ("fd00::/8", "[fd00::1]", True), ("[fd00::]/8", "[fd00::1]", False),
    ("fd00::/8", "[fe80::1]", False),
    ("[fd00::1]", "[fd00::1]", True), ("fd00::1", "[fd00:0::1]", True),
    ("2001:db8::/32", "a.b", False),
    ("10.0.0.0/8", "10.com", False), ("", "a.b", False), (",,", "a.b", False), ("[", "a.b", False),
])  # fmt: skip
def test_who_is_reached_without(
    monkeypatch: pytest.MonkeyPatch, listed: str, host: str, direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p")
    monkeypatch.setenv("NO_PROXY", listed)
    assert way_to(f"https://{host}/c") == (None if direct else "http://p")


@pytest.mark.parametrize(("name", "value"), [
    ("HTTPS_PROXY", "ftp://user:secret@p"), ("https_proxy", "http://"), ("ALL_PROXY", "socks4://p"),
    ("HTTP_PROXY", "http://user:secret@[::1"), ("ALL_PROXY", "quic://secret@p:99999999"),
])  # fmt: skip
def test_proxies_that_can_not_be_used(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name} names a proxy") as caught:
        proxies_of_machine()
    assert "secret" not in str(caught.value)


def test_socks_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@p:1080")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY .*httpx\[socks\]") as caught:
        proxies_of_machine()
    assert "secret" not in str(caught.value)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert way_to(FAR) == "socks5://user:secret@p:1080"


@pytest.mark.parametrize(("name", "there"), [
    ("SSL_CERT_FILE", None), ("SSL_CERT_FILE", b"no certificate"), ("SSL_CERT_DIR", None),
    ("SSLKEYLOGFILE", None),
])  # fmt: skip
def test_certificates_that_can_not_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, there: bytes | None
) -> None:
    path = tmp_path / "folder" / "certificates.pem"
    if there is not None:
        path.parent.mkdir()
        path.write_bytes(there)
    monkeypatch.setenv(name, str(path))
    with pytest.raises(ConfigurationError, match=f"{name}={path}: .+ Mend the variable"):
        tls_context()


def test_certificates_of_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert tls_context().keylog_filename == str(tmp_path / "keys")


def test_trouble_with_certificates_that_no_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise PermissionError(13, "Permission denied", "/certifi/cacert.pem")

    monkeypatch.setattr(environment.httpx, "create_ssl_context", broken)
    with pytest.raises(ConfigurationError, match="certificates of this machine can't be read"):
        tls_context()


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=40))
def test_whatever_the_environment_says(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
            patch.setenv(name, text)
        try:
            way = way_to(FAR)
        except ConfigurationError:
            return
        assert way is None or httpx.URL(way).host
