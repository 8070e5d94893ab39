"""An application behind the server's guards, which says what reached it."""

import json

from starlette.testclient import TestClient

from fastsvc.serve import guards
from fastsvc.serve.settings import ServeSettings


class Inner:
    """The application within: counts what reaches it, reads bodies, answers with the request's own headers."""

    def __init__(self):
        self.calls, self.bytes, self.left = 0, 0, 0

    async def __call__(self, scope, receive, send):
        self.calls += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return await send({"type": "websocket.close", "code": 1000})
        if scope["path"] == "/broken":
            raise RuntimeError("secret words in an unforeseen error")
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return await _answer(send, 400, b"the client is gone")
            self.bytes += len(message.get("body", b""))
            more = message.get("more_body", False)
        heard = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        await _answer(send, 200, json.dumps(heard | {"query": scope["query_string"].decode()}).encode())


async def _answer(send, status, body):
    headers = [(b"content-type", b"application/json"), (b"access-control-allow-origin", b"*"), (b"server", b"x")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def client(inner, tmp_path, pace=None, base="http://127.0.0.1:8000", **changes):
    settings = ServeSettings(home=tmp_path, **changes)
    return TestClient(guards.guarded(inner, settings, pace), base_url=base, raise_server_exceptions=False)
