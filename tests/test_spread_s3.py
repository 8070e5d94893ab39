"""`fastsvc convert` from S3 to S3, against a server of this machine (`make scale`)."""

import pytest
from command_line import run
from recordings import put, tone
from remote_folders import fake, names  # noqa: F401 - a fixture

from fastsvc.errors import OutputError
from fastsvc.remote import Folder

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    pytest.importorskip("s3fs", reason="s3fs is not installed: make scale")
    server_of = pytest.importorskip("moto.server", reason="moto[server] is not installed: make scale")
    server = server_of.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.get_host_and_port()[1]}")
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    name = tmp_path.name.replace("_", "-")  # moto keeps buckets for all servers of a process
    Folder(f"s3://{name}").fs.mkdir(name)
    yield f"s3://{name}"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_objects(bucket):
    place = Folder(f"{bucket}/a")
    place.write("x.bin", b"one", new=True)
    with pytest.raises(OutputError, match="appeared meanwhile"):
        place.write("x.bin", b"two", new=True)
    assert place.read(["x.bin", "none"]) == {"x.bin": b"one"}
    (item,) = place.items()
    assert item == place.item("x.bin") and item.md5 == "f97c5d29941bfb1b2fdab0874906ab82"
    assert place.item("y.bin") is None and Folder(f"{bucket}/b").items() == []
    # as large as one put may be before s3fs takes several
    place.write("large.bin", bytes(60 * 2**20), new=True)
    assert place.item("large.bin").size == 60 * 2**20


@pytest.mark.timeout(600)
def test_from_s3_to_s3(fake, bucket, tmp_path):  # noqa: F811
    songs = [f"d{number % 3}/take {number}.wav" for number in range(30)]
    for number, name in enumerate(songs):
        local = put(tmp_path / "in" / name, tone(0.02, hz=200 + number))
        Folder(bucket).write(f"in/{name}", local.read_bytes())
    run("convert", "in", "--spk", "anna", "-o", "local")
    asked = ["convert", f"{bucket}/in", "--spk", "anna", "-o", f"{bucket}/out"]
    for number in (1, 2, 3):
        run(*asked, "--shard", f"{number}/3")
    calls = len(fake.calls)
    report = f"{bucket}/reports/r.json"
    assert "skipped 30" in run(*asked, "--report", report).stdout and len(fake.calls) == calls == 60
    assert names(f"{bucket}/out") == sorted(songs) and names(f"{bucket}/reports") == ["r.json"]
    whole = {name: (tmp_path / "local" / name).read_bytes() for name in songs}
    assert Folder(f"{bucket}/out").read(songs) == whole
    text = run("convert", f"{bucket}/in", "--spk", "bert", "-o", f"{bucket}/out", code=1).stderr
    assert text.count("made with another voice: 'anna'") >= 30 and len(fake.calls) == calls
    Folder(f"{bucket}/out").write(songs[0], whole[songs[1]] + b" ")  # somebody's
    Folder(f"{bucket}/in").write(songs[1], (tmp_path / "in" / songs[2]).read_bytes())
    text = run(*asked, code=1).stderr
    assert "and was changed since it was made" in text and "when its content or date was another" in text
    assert "2 failed" in run(*asked, code=1).stdout
