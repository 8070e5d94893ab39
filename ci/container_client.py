"""Within the container of ci/docker.sh: who the server is, what it can write, and a recording converted by its API."""

import json
import os
import urllib.request
from pathlib import Path

SERVER = "http://127.0.0.1:8000"
RECORDING = Path("/in/speech/front_left.wav")
BOUNDARY = "fastsvc-boundary"


def asked(path: str, body: bytes | None = None) -> bytes:
    """The server's answer to a GET, or to a POST of a form."""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    if body is not None:
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    with urllib.request.urlopen(urllib.request.Request(SERVER + path, body, headers), timeout=120) as answer:  # noqa: S310
        return answer.read()


def form(recording: bytes, name: str, options: dict) -> bytes:
    """A recording and the options of its conversion."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="options"\r\n\r\n{json.dumps(options)}\r\n'
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + recording + f"\r\n--{BOUNDARY}--\r\n".encode()


def unwritable(path: str) -> bool:
    try:
        Path(path, "proof").write_bytes(b"")
    except OSError:
        return True
    return False


if __name__ == "__main__":
    if os.getuid() != 10001 or not all(map(unwritable, ("/", "/opt/fastsvc", "/usr", "/in"))):
        raise SystemExit(f"uid {os.getuid()}, or a root that can be written")
    if b"<title>fastsvc" not in asked("/"):
        raise SystemExit("the page is not there")
    result = asked("/api/v1/convert", form(RECORDING.read_bytes(), RECORDING.name, {"speaker": "slt"}))
    if result != Path("/data/converted", RECORDING.name).read_bytes():
        raise SystemExit("the API's result is not that of fastsvc convert")
