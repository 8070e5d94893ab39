"""The token, without which a server that others can reach answers nothing but its health.

Programs send it as `Authorization: Bearer TOKEN`. A browser opens `/?token=TOKEN` once and gets a cookie, whose value
is another secret: cookies are sent to every port of a machine. Neither is printed, logged or answered.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import parse_qs

from fastsvc.serve.guards.answer import App, Receive, Scope, Send, refuse, respond, values

OPEN_PATHS = ("/healthz", "/readyz")  # for whoever watches over the server; they name nothing
PAGE = "/"
_HTML = b"text/html; charset=utf-8"
# A redirect would keep the other site as the origin of the visit, whose next request then lacks the strict cookie.
_ENTERED = b'<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>fastsvc</title><a href="/">fastsvc</a>'
_FORM = (
    b'<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>fastsvc</title>'
    b'<h1>fastsvc</h1><form action="/" method="get"><label>Token: <input name="token" type="password" autofocus'
    b' autocomplete="current-password"></label> <button>Open</button></form></html>'
)


class TokenGuard:
    """ASGI: 401 without the token or the cookie, whose name has the port: servers on one machine share cookies."""

    def __init__(self, app: App, token: str):
        self.app = app
        self.token = _digest(token)
        self.session = secrets.token_urlsafe(32)  # new with each start of the server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            return await self.app(scope, receive, send)
        page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == PAGE
        if page and self._enters(scope):
            return await respond(scope, send, 200, _HTML, _ENTERED, [(b"set-cookie", self._cookie(scope))])
        if self.is_known(scope):
            return await self.app(_without_secrets(scope), receive, send)
        if page:
            return await respond(scope, send, 401, _HTML, _FORM)
        remedy = "send it as Authorization: Bearer TOKEN, or open /?token=TOKEN in the browser"
        why = "the request has no token, or a wrong one"
        await refuse(scope, send, 401, "no access", why, remedy, [(b"www-authenticate", b"Bearer")])

    def is_known(self, scope: Scope) -> bool:
        """Whether a request has the token or the cookie. Each comparison takes the same time whatever differs."""
        scheme, _, bearer = " ".join(values(scope, b"authorization")).partition(" ")
        by_header = hmac.compare_digest(_digest(bearer.strip()), self.token) and scheme.lower() == "bearer"
        by_cookie = False
        for pair in ";".join(values(scope, b"cookie")).split(";"):
            name, _, value = pair.strip().partition("=")
            if name == _cookie_name(scope):
                by_cookie |= hmac.compare_digest(_digest(value), _digest(self.session))
        return by_header or by_cookie

    def _enters(self, scope: Scope) -> bool:
        try:
            tokens = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8).get("token", [])
        except ValueError:  # too many fields
            return False
        return len(tokens) == 1 and hmac.compare_digest(_digest(tokens[0]), self.token)

    def _cookie(self, scope: Scope) -> bytes:
        secure = "; Secure" if scope.get("scheme") in ("https", "wss") else ""
        return f"{_cookie_name(scope)}={self.session}; Path=/; HttpOnly; SameSite=Strict{secure}".encode()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _cookie_name(scope: Scope) -> str:
    port = values(scope, b"host")[0].rpartition(":")[2]
    return f"fastsvc-{port if port.isdecimal() else 'page'}"


def _without_secrets(scope: Scope) -> Scope:
    """The request without token and cookie, so that nothing behind this guard can log or answer them."""
    hidden = (b"authorization", b"cookie")
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name.lower() not in hidden]}
