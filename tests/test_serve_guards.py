"""Guards of the server before any application: hosts, origins, the token, bodies, headers."""

import pytest
from guarded_app import Inner, client
from starlette.testclient import WebSocketDenialResponse

from fastsvc.serve.guards.headers import CSP
from fastsvc.serve.guards.hosts import KnownHosts, is_loopback
from fastsvc.serve.guards.origin import fault, is_own_origin

TOKEN = "correct horse battery".replace(" ", "-")
JOBS, STREAM = "/api/v1/jobs", "ws://127.0.0.1:8000/api/v1/stream"


@pytest.fixture
def inner():
    return Inner()


def test_foreign_hosts_are_refused_dns_rebinding(inner, tmp_path):
    http = client(inner, tmp_path)
    names = [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.",
        "",
        "127.0.0.1:x",
        "[::1",
        "a b",
    ]
    for path in ("/", "/api/v1/voices", "/healthz"):
        answers = [http.get(path, headers={"host": name}) for name in names]
        assert {answer.status_code for answer in answers} == {421} and answers[0].json()["error"]["remedy"]
    with pytest.raises(WebSocketDenialResponse) as refused:
        http.websocket_connect(STREAM, headers={"host": "evil.example"}).__enter__()
    assert refused.value.status_code == 421 and inner.calls == 0


def test_names_of_this_machine(inner, tmp_path):
    http = client(inner, tmp_path)
    for host in ("127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000"):
        assert http.get("/", headers={"host": host}).status_code == 200


def test_hosts_of_servers_for_others():
    everywhere = KnownHosts.of("0.0.0.0", ["Voices.Example"])  # noqa: S104
    assert all(map(everywhere.knows, ("192.168.1.7:8000", "[fe80::1]:80", "voices.example", "localhost:9")))
    assert not any(map(everywhere.knows, ("evil.example", "192.168.1.7.evil.example", "1.2.3.4.5", "")))
    one = KnownHosts.of("192.168.1.7")
    assert one.knows("192.168.1.7:8000") and not one.knows("192.168.1.8:8000")
    assert is_loopback("127.0.0.2") and is_loopback("::1") and is_loopback("localhost")
    assert not (is_loopback("192.168.1.7") or is_loopback("example.org") or is_loopback("::"))


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},  # another program of this machine
    {"origin": "http://localhost:8000"},  # another name is another origin
    {"origin": "http://127.0.0.1:8000.evil.example"},
    {"origin": "http://x@127.0.0.1:8000"},
    {"origin": "http://127.0.0.1:8000/"},
    {"origin": "file://127.0.0.1:8000"},
    {"origin": "http://[127.0.0.1:8000"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"},
]


def _scope(headers, method="POST", kind="http", host="127.0.0.1:8000"):
    sent = [(name.encode(), value.encode()) for name, value in ({"host": host} | headers).items()]
    return {"type": kind, "method": method, "headers": sent}


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_pages_of_others(headers):
    for method in ("POST", "PUT", "PATCH", "DELETE", "BREW"):
        assert fault(_scope(headers, method))
    assert fault(_scope(headers, kind="websocket"))


def test_pages_of_others_change_nothing_and_open_no_socket(inner, tmp_path):
    http, headers = client(inner, tmp_path), {"origin": "http://evil.example"}
    assert http.delete("/api/v1/jobs/1", headers=headers).status_code == 403
    with pytest.raises(WebSocketDenialResponse) as refused:
        http.websocket_connect(STREAM, headers=headers).__enter__()
    assert refused.value.status_code == 403 and inner.calls == 0


def test_a_form_of_another_page_makes_no_job(inner, tmp_path):
    """fetch(…, {mode: "no-cors"}) of a multipart form needs no preflight."""
    headers = {"origin": "http://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    answer = client(inner, tmp_path).post(JOBS, files={"file": b"song"}, headers=headers)
    assert answer.status_code == 403 and inner.calls == 0
    preflight = {"origin": "http://evil.example", "access-control-request-method": "DELETE"}
    answer = client(inner, tmp_path).options(JOBS, headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_own_page_and_programs_may(inner, tmp_path):
    http, own = client(inner, tmp_path), {"origin": "http://127.0.0.1:8000"}
    for headers in ({}, own, own | {"sec-fetch-site": "same-origin"}):
        assert http.post(JOBS, headers=headers).status_code == 200
        with http.websocket_connect(STREAM, headers=headers):
            pass
    assert inner.calls == 6


def test_other_pages_may_link_here_and_embed_nothing(inner, tmp_path):
    http = client(inner, tmp_path)
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert http.get("/", headers=link).status_code == 200
    for other in ({"sec-fetch-dest": "iframe"}, {"sec-fetch-mode": "no-cors"}, {"sec-fetch-site": "x"}):
        expected = 200 if other == {"sec-fetch-site": "x"} else 403
        assert http.get("/api/v1/jobs/1/result", headers=link | other).status_code == expected
    assert http.get("/", headers={"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}).status_code == 200


def test_own_origins():
    assert is_own_origin("https://voices.example", "voices.example")  # a proxy adds TLS
    assert is_own_origin("https://voices.example", "voices.example:443")
    assert is_own_origin("http://[::1]:8000", "[::1]:8000")
    assert not is_own_origin("https://voices.example", "voices.example:8000")
    assert not is_own_origin("ws://voices.example", "voices.example")


def test_headers_of_every_answer(inner, tmp_path):
    http = client(inner, tmp_path, token=TOKEN, host="192.168.1.7")
    bearer = {"authorization": f"Bearer {TOKEN}"}
    answers = [
        http.get("/", headers=bearer),
        http.get("/"),
        http.get("/api/v1/voices"),
        http.get("/broken", headers=bearer),
        http.get("/", headers={"host": "evil.example"}),
        http.post(JOBS, headers=bearer | {"origin": "null"}),
        http.post("/x", headers=bearer, content=b"x" * 100_000),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 401, 500, 421, 403, 413]
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == CSP and "unsafe" not in CSP and "http" not in CSP
        assert "require-trusted-types-for 'script'" in CSP and "default-src 'none'" in CSP
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in CSP
        assert headers["cross-origin-resource-policy"] == "same-origin" and headers["cache-control"] == "no-store"
        assert "server" not in headers and "access-control-allow-origin" not in headers
    assert "secret words" not in answers[3].text and "Traceback" not in answers[3].text


def test_the_token(inner, tmp_path):
    http = client(inner, tmp_path, token=TOKEN, host="192.168.1.7")
    wrong = ["", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \xff"]
    for value in wrong:
        answer = http.get("/api/v1/voices", headers={"authorization": value.encode("latin-1")})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert http.post(JOBS, params={"token": TOKEN}).status_code == 401  # in the address on the page alone
    with pytest.raises(WebSocketDenialResponse) as refused:
        http.websocket_connect(STREAM).__enter__()
    assert refused.value.status_code == 401 and inner.calls == 0
    assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
    heard = http.get("/api/v1/voices", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert "authorization" not in heard and TOKEN not in str(heard)


def test_the_cookie(inner, tmp_path):
    http = client(inner, tmp_path, token=TOKEN, host="192.168.1.7")
    form = http.get("/", params={"token": "wrong" * 4})
    assert form.status_code == 401 and "<form" in form.text and "set-cookie" not in form.headers
    many = "&".join(f"a{i}=1" for i in range(50))
    assert http.get(f"/?{many}&token={TOKEN}").status_code == 401
    entered = http.get("/", params={"token": TOKEN})
    cookie = entered.headers["set-cookie"]
    assert entered.status_code == 200 and TOKEN not in cookie + entered.text
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    assert http.get("/api/v1/voices").status_code == 200  # the client keeps cookies
    assert "cookie" not in http.get("/api/v1/voices").json()
    with http.websocket_connect(STREAM):
        pass
    name, value = cookie.partition(";")[0].split("=")
    other = client(inner, tmp_path, token=TOKEN, host="192.168.1.7")  # after a restart
    assert other.get("/api/v1/voices", headers={"cookie": f"{name}={value}"}).status_code == 401
    assert http.get("/api/v1/voices", headers={"cookie": f"a=b; {name}=x"}).status_code == 401
