"""What does the environment say about the way to a server? Proxies, and whose certificates count.

The variables are those that curl and Python's own libraries read. What can't work is a
`ConfigurationError` that names the variable; a proxy's password is never part of it.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import ssl
from collections.abc import Mapping
from urllib.request import getproxies

import httpx
from attrs import field, frozen

from ..errors import ConfigurationError
from ..settings import is_loopback

_SCHEMES = ("http", "https", "socks5", "socks5h")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@frozen
class Proxies:
    """The proxies of a machine, and who is reached without them.

    Args:
        by_scheme: "http", "https" or "all" -> the proxy's address.
        direct: hosts and networks of `NO_PROXY`; "*" means all.
        problems: "http", "https" or "all" -> why the proxy named there can't be used.
    """

    by_scheme: Mapping[str, str] = field(factory=dict, repr=False)
    direct: tuple[str | _Network, ...] = ()
    problems: Mapping[str, str] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_scheme or self.problems)

    def on_the_way_to(self, url: httpx.URL | str) -> str | None:
        """The proxy's address; None: there is none, as always to this machine itself.

        Raises:
            ConfigurationError: it can't be used.
        """
        url = httpx.URL(url)
        if is_loopback(url.host) or self._is_direct(url):
            return None
        for scheme in (url.scheme, "all"):
            if scheme in self.problems:
                raise ConfigurationError(self.problems[scheme])
            if scheme in self.by_scheme:
                return self.by_scheme[scheme]
        return None

    def _is_direct(self, url: httpx.URL) -> bool:
        host = url.host.rstrip(".").casefold()
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        names = (host, f"{host}:{url.port or {'http': 80, 'https': 443}.get(url.scheme)}")
        for one in self.direct:
            if not isinstance(one, str):
                if address is not None and address in one:
                    return True
            elif (
                one == "*"
                or one in names
                or (address is None and any(name.endswith(f".{one}") for name in names))
            ):
                return True
        return False


def proxies_of_machine() -> Proxies:
    """What the environment says now (on macOS and Windows, the system where it says nothing)."""
    stated = getproxies()
    found, problems = dict[str, str](), dict[str, str]()
    for scheme in ("http", "https", "all"):
        if address := stated.get(scheme):
            whole = address.strip() if "://" in address else f"http://{address.strip()}"
            if (problem := _problem_of(scheme, address, whole)) is None:
                found[scheme] = whole
            else:
                problems[scheme] = problem
    listed = stated.get("no", "") if stated else ""
    direct = tuple(_direct(one) for one in listed.split(",") if one.strip(" []"))
    return Proxies(found, direct, problems)


def tls_context() -> ssl.SSLContext:
    """What TLS connections are checked with; reads files, so in a thread.

    Raises:
        ConfigurationError: a variable names a file that can't be used.
    """
    # A folder that is not there would only show when a connection is made.
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        path = os.environ.get(name)
        if path and (problem := _problem_of_file(name, path)) is not None:
            raise ConfigurationError(
                f"{name}={path}: {problem}. Mend the variable, or unset it. Nothing was sent"
            )
    try:
        return httpx.create_ssl_context()
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigurationError(
            f"the certificates of this machine can't be read: {exc}. Nothing was sent"
        ) from None


def _problem_of(scheme: str, address: str, whole: str) -> str | None:
    """Why a proxy can't be used; None where it can."""
    try:
        parsed = httpx.URL(whole)
        kind, host = parsed.scheme, parsed.host
    except (httpx.InvalidURL, ValueError, TypeError):
        kind, host = "", ""
    name = _variable_of(scheme, address)
    if kind not in _SCHEMES or not host:
        return (
            f"{name} names a proxy that can't be used ({_shown(whole)}): http://, https://, "
            "socks5:// and socks5h:// are known. Mend the variable, or unset it. Nothing was sent"
        )
    if kind.startswith("socks") and importlib.util.find_spec("socksio") is None:
        return (
            f"{name} names a SOCKS proxy ({_shown(whole)}), which needs a further package: "
            "pip install 'httpx[socks]'. Nothing was sent"
        )
    return None


def _variable_of(scheme: str, address: str) -> str:
    """The variable that says so: `HTTPS_PROXY`, in the letters in which it is set."""
    for name, value in os.environ.items():
        if name.casefold() == f"{scheme}_proxy" and value == address:
            return name
    return f"{scheme.upper()}_PROXY (of the system's settings)"


def _shown(address: str) -> str:
    """A proxy's address without its user and password."""
    before, _, after = address.rpartition("@")
    scheme, _, rest = before.partition("://")
    return f"{scheme if rest else 'http'}://***@{after}" if before else after


def _direct(one: str) -> str | _Network:
    """A host, or a network, as `NO_PROXY` lists them: `.a.b`, `*.a.b`, `10.0.0.0/8`, `[::1]`."""
    given = one.strip()
    try:
        return ipaddress.ip_network(given.strip("[]"), strict=False)
    except ValueError:
        pass
    if given == "*":
        return given
    return given.casefold().removeprefix("*").lstrip(".").rstrip(".")


def _problem_of_file(name: str, path: str) -> str | None:
    """Why the file or folder that a variable names can't serve; None where it can."""
    try:
        if name == "SSL_CERT_FILE":
            ssl.create_default_context(cafile=path)
        elif name == "SSL_CERT_DIR":
            os.listdir(path)  # noqa: PTH208 - as OpenSSL reads it
        else:
            with open(path, "a"):  # noqa: PTH123 - as Python's ssl opens it
                pass
    except OSError as exc:
        return exc.strerror if exc.strerror and not isinstance(exc, ssl.SSLError) else str(exc)
    return None
