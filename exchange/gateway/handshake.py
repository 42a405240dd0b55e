"""The check of a handshake's `Host` and `Origin`: no page of another site may reach the exchange through a browser.

A browser sends the page's origin with each handshake, and the page cannot change it. A program that is no browser sends
none, and is welcome. A page whose host name was pointed at this machine after it was loaded (DNS rebinding) is the same
origin for its browser; the foreign name in `Host` shows it.
"""

from __future__ import annotations

import ipaddress
import re
from http import HTTPStatus
from typing import NamedTuple

from websockets.datastructures import Headers

# NAME, NAME:PORT or ADDRESS:PORT; an IPv6 address is in brackets.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z_.-]{1,253})(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# The characters of a refused value that the answer repeats.
_SHOWN = 100


class Authority(NamedTuple):
    """A host with its port; None: the value names no port."""

    host: str
    port: int | None


class AllowedPeers(NamedTuple):
    """What is allowed in addition to the exchange's own names: origins, and hosts with or without a port."""

    origins: tuple[str, ...] = ()
    hosts: tuple[Authority, ...] = ()


class HandshakeRefusal(NamedTuple):
    """The status and the text of an answer that refuses a handshake."""

    status: HTTPStatus
    text: str


def parse_host(text: str) -> Authority:
    """Read a host name or an address, with or without a port. Raises ValueError."""
    found = _HOST.fullmatch(text)
    try:
        if found is None or int(found[2] or 0) > 65_535:
            raise ValueError
        host = found[1].lower().removesuffix(".")
        if host.startswith("["):
            host = str(ipaddress.IPv6Address(host[1:-1]))
    except ValueError:
        expected = "expected NAME or NAME:PORT, such as exchange.example:8765"
        raise ValueError(f"{text[:_SHOWN]!r} is not a host; {expected}") from None
    return Authority(host, None if found[2] is None else int(found[2]))


def parse_origin(text: str) -> str:
    """Read an origin and return it as browsers send it. Raises ValueError."""
    if text == "null":
        return text
    found = _ORIGIN.fullmatch(text.lower())
    try:
        host, port = parse_host(found[2] if found else "")
    except ValueError:
        raise ValueError(
            f"{text[:_SHOWN]!r} is not an origin; expected SCHEME://HOST or SCHEME://HOST:PORT, such as "
            "https://exchange.example"
        ) from None
    assert found is not None, "an origin without a scheme"
    shown = f"[{host}]" if ":" in host else host
    return f"{found[1]}://{shown}" + ("" if port in (None, _DEFAULT_PORTS[found[1]]) else f":{port}")


def refusal_of(
    headers: Headers, local: tuple[str, int], allowed: AllowedPeers, is_tls: bool = False
) -> HandshakeRefusal | None:
    """Why the handshake is refused; None if it is not. `local` is the address and the port that the client reached."""
    hosts = headers.get_all("Host")
    for text in hosts:
        if not _is_host_allowed(text, local, allowed, 443 if is_tls else 80):
            return _refused_host(text, local)
    if len(hosts) != 1:
        return HandshakeRefusal(HTTPStatus.BAD_REQUEST, f"{len(hosts)} Host headers: send one\n")
    for text in headers.get_all("Origin"):
        if not _is_origin_allowed(text, local, allowed, is_tls):
            return _refused_origin(text)
    return None


def host_refusal_of(text: str, local: tuple[str, int], allowed: AllowedPeers) -> HandshakeRefusal | None:
    """Why a plain HTTP request with this `Host` is refused; None if it is not."""
    return None if _is_host_allowed(text, local, allowed, 80) else _refused_host(text, local)


def _is_host_allowed(text: str, local: tuple[str, int], allowed: AllowedPeers, default_port: int) -> bool:
    try:
        host, port = parse_host(text)
    except ValueError:
        return False
    if _is_own(host, local[0]) and (default_port if port is None else port) == local[1]:
        return True
    return (host, None) in allowed.hosts or (host, default_port if port is None else port) in allowed.hosts


def _is_origin_allowed(text: str, local: tuple[str, int], allowed: AllowedPeers, is_tls: bool) -> bool:
    """True for a listed origin, and for pages of the exchange itself: its own host, at its port."""
    try:
        origin = parse_origin(text)
    except ValueError:
        return False
    if origin in allowed.origins:
        return True
    scheme, _, rest = origin.partition("://")
    if scheme != ("https" if is_tls else "http"):
        return False
    host, port = parse_host(rest)
    return _is_own(host, local[0]) and (_DEFAULT_PORTS[scheme] if port is None else port) == local[1]


def _is_own(host: str, local_address: str) -> bool:
    """True if no DNS entry of another site can stand behind `host`: a loopback name or address, or `local_address`."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or str(address) == local_address


def _refused_host(text: str, local: tuple[str, int]) -> HandshakeRefusal:
    own = f"[{local[0]}]:{local[1]}" if ":" in local[0] else f"{local[0]}:{local[1]}"
    detail = f"Host {text[:_SHOWN]!a} is not a name of this exchange: connect to {own}, or allow it with --allow-host"
    return HandshakeRefusal(HTTPStatus.FORBIDDEN, detail + "\n")


def _refused_origin(text: str) -> HandshakeRefusal:
    detail = f"pages of {text[:_SHOWN]!a} may not connect to this exchange: allow them with --allow-origin"
    return HandshakeRefusal(HTTPStatus.FORBIDDEN, detail + "\n")
