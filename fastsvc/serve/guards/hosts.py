"""The Host header: names under which this server is known, against DNS rebinding.

A page of evil.example may give that name the address 127.0.0.1 once it is loaded; the browser then takes this server
for the page's own and lets it read everything. The browser still sends `Host: evil.example`. An address in digits
cannot be turned so.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from fastsvc.serve.guards.answer import App, Receive, Scope, Send, refuse, values
from fastsvc.serve.settings import LOOPBACK

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")


def name_of(host: str) -> str | None:
    """The name in a Host header, in lower case and without port and brackets; None where it is malformed."""
    match = _HOST.fullmatch(host)
    return match["name"].strip("[]").lower() if match else None


def is_loopback(host: str) -> bool:
    """Whether a server bound to ``host`` is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class KnownHosts:
    """``names``: in lower case. ``addresses``: whether any address in digits is taken too."""

    names: frozenset[str]
    addresses: bool = False

    @classmethod
    def of(cls, host: str, more: Iterable[str] = ()) -> KnownHosts:
        """The names of a server bound to ``host``: those of this machine if it listens on every address. ``more``: of a
        proxy before it."""
        names = {*LOOPBACK, host.lower(), *(name.lower() for name in more)}
        everywhere = _is_address(host) and ipaddress.ip_address(host).is_unspecified
        if everywhere:
            own = socket.gethostname().lower()
            names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
        return cls(frozenset(names - {""}), everywhere)

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = name_of(host)
        return name is not None and (name in self.names or (self.addresses and _is_address(name)))


class HostGuard:
    """ASGI: 421 for requests and handshakes under any other name, or under two."""

    def __init__(self, app: App, hosts: KnownHosts):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        hosts = values(scope, b"host")
        if len(hosts) == 1 and self.hosts.knows(hosts[0]):
            return await self.app(scope, receive, send)
        what, why = "wrong host", "this server is not known by the name in the Host header"
        await refuse(scope, send, 421, what, why, "use the address that the server printed, or add --allow-host NAME")
