"""Results as players and programs ask for them: heads, ranges, and headers that are none."""

import pytest

pytest.importorskip("fastapi")
import serving

from fastsvc.serve.jobs.job import CONVERT, DONE, Job

CONTENT = bytes(range(100))
URL = f"/api/v1/jobs/{'a' * 32}/result"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serving.client(tmp_path_factory.mktemp("home")) as client:
        queue = client.app.state.service.queue
        job = Job("a" * 32, "b" * 32, CONVERT, "song.wav", state=DONE, finished=2e9)
        job.result = {"file": "result.wav", "name": "song_slt.wav"}
        queue.store.add([job])
        queue.book.folder(job).mkdir()
        (queue.book.folder(job) / "result.wav").write_bytes(CONTENT)
        yield client


def test_heads(client):
    answer = client.head(URL)
    assert answer.status_code == 200 and answer.headers["content-length"] == "100" and answer.content == b""
    for path in ("/healthz", "/readyz", "/"):
        assert client.head(path).status_code == 200
    assert client.head(URL.replace("a", "c")).status_code == 404


@pytest.mark.parametrize("value, expected", [("bytes=10-19", CONTENT[10:20]), ("bytes=-5", CONTENT[-5:])])
def test_ranges(client, value, expected):
    answer = client.get(URL, headers={"range": value})
    assert answer.status_code == 206 and answer.content == expected


@pytest.mark.parametrize(
    "value", ["bytes=", "bytes=abc", "bytes=9-0", "items=0-1", "bytes=0-0,2-3", f"bytes={'9' * 99}-"]
)
def test_a_header_that_is_no_range_is_ignored(client, value):
    answer = client.get(URL, headers={"range": value})
    assert answer.status_code == 200 and answer.content == CONTENT


def test_a_range_beyond_the_end(client):
    assert client.get(URL, headers={"range": "bytes=100-"}).status_code == 416
