"""Bad, hostile and encrypted files of the kinds that FFmpeg reads: each is refused in one line."""

import re
import socket

import numpy as np
import pytest
from media_cases import CUT, EXACT, LOOSE, name_of, put, reason
from media_files import aliased, chirp, encode, picture

from fastsvc import memory
from fastsvc.audio import file_bytes, io, media
from fastsvc.audio.opening import open_recording
from fastsvc.errors import AudioError

av = pytest.importorskip("av")


@pytest.mark.parametrize("case", CUT, ids=name_of)
def test_cut_short(tmp_path, case, capfd):
    path = put(tmp_path, case)[0]
    content = path.read_bytes()
    for share in (0.03, 0.3, 0.6, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        assert re.search("cut short|damaged|not finished", reason(path))
    assert capfd.readouterr() == ("", "")  # FFmpeg says nothing on the screen


@pytest.mark.parametrize("case", [EXACT[0], EXACT[6], EXACT[11], EXACT[15], LOOSE[0], LOOSE[1]], ids=name_of)
def test_noise_within(tmp_path, case, capfd):
    """Of codecs that can notice: FFmpeg goes on after what it could not decode."""
    path = put(tmp_path, case)[0]
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    middle = len(content) // 2
    content[middle : middle + 200] = rng.bytes(200)
    path.write_bytes(content)
    assert "damaged" in reason(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("case", [EXACT[0], EXACT[7], EXACT[10], EXACT[16], LOOSE[6]], ids=name_of)
def test_joined_files_are_not_read_by_half(tmp_path, case):
    path = put(tmp_path, case)[0]
    path.write_bytes(2 * path.read_bytes())
    assert "recordings joined into one file" in reason(path)


def test_pictures_without_sound(tmp_path):
    assert "a video without sound" in reason(picture(tmp_path / "a.mp4"))
    assert "a video without sound" in reason(picture(tmp_path / "a.mkv", "matroska"))


def test_encrypted_files_are_named(tmp_path):
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    path = encode(tmp_path / "a.mp4", chirp(), 44100, "aac", "mp4", container=key)
    assert "is encrypted (DRM)" in reason(path)
    path = encode(tmp_path / "a.m4p", chirp(), 44100, "aac", "ipod")
    content = path.read_bytes()
    assert content.count(b"mp4a") == 1
    path.write_bytes(content.replace(b"mp4a", b"drms"))
    assert "is encrypted (DRM)" in reason(path)


def test_counts_that_no_file_of_this_size_holds_are_refused_before_memory_is_taken(tmp_path):
    path = encode(tmp_path / "a.m4a", chirp(), 44100, "aac", "ipod")
    content = bytearray(path.read_bytes())
    place = content.index(b"stsz") + 8
    content[place : place + 8] = (1).to_bytes(4, "big") + (2**31 - 1).to_bytes(4, "big")
    path.write_bytes(content)
    assert "damaged: promises 2,147,483,647 packets" in reason(path)


@pytest.mark.parametrize("case", [EXACT[0], EXACT[11], LOOSE[0]], ids=name_of)
def test_a_disk_that_fails_is_named(tmp_path, case, monkeypatch):
    path, audio = put(tmp_path, case)
    real, left = file_bytes.FileBytes.at, [0]

    def at(self, place, count):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(5, "Input/output error")
        return real(self, place, count)

    monkeypatch.setattr(file_bytes.FileBytes, "at", at)
    for reads in range(1000):
        left[0] = reads
        try:
            audio = io.read(path)[0]
            break
        except AudioError as error:
            assert "cannot be read: Input/output error" in str(error)
    assert reads > 5 and len(audio) == case[4]


def test_memory_is_checked_before_decoding(tmp_path, monkeypatch):
    path = put(tmp_path, EXACT[0])[0]
    monkeypatch.setattr(memory, "free_bytes", lambda: 1e5)
    monkeypatch.setattr(media.MediaFile, "read", lambda *_: pytest.fail("decoded"))
    with pytest.raises(io.TooLong, match="too long for this machine's memory"):
        io.read(path)


def test_what_does_not_say_its_length_is_not_counted_for_ever(tmp_path, monkeypatch):
    path = put(tmp_path, LOOSE[0])[0]
    monkeypatch.setattr(media, "_LONGEST_S", 0)
    for look in (io.probe, io.read):
        with pytest.raises(AudioError, match="its header does not say how long it is"):
            look(path)


def test_lists_of_other_files_are_not_followed(tmp_path):
    whole = put(tmp_path, EXACT[0])[0].rename(tmp_path / "whole.m4a")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        there = f"http://127.0.0.1:{server.getsockname()[1]}/a.m4a"
        texts = {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{there}\n#EXT-X-ENDLIST\n",
            "hls here": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{whole}\n#EXT-X-ENDLIST\n",
            "concat": f"ffconcat version 1.0\nfile '{whole}'\n",
            "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{there}</BaseURL></MPD>',
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 97\n",
            "tagged": "ID3\4\0\0\0\0\0\0#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n" + there + "\n#EXT-X-ENDLIST\n",
        }
        for name, text in texts.items():
            for suffix in ("m4a", "webm", "aac"):
                path = tmp_path / f"{name}.{suffix}"
                path.write_text(text)
                assert "not an audio file" in reason(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_file_that_another_names_is_not_opened(tmp_path):
    """QuickTime may keep its sound in another file, which FFmpeg can follow."""
    beside = encode(tmp_path / "beside.mov", chirp(level=0.5), 44100, "pcm_s16le", "mov")
    path = aliased(encode(tmp_path / "a.mov", chirp(level=0.01), 44100, "pcm_s16le", "mov"), beside)
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as file:
        assert np.abs(next(file.decode(audio=0)).to_ndarray()).max() > 10000
    try:
        assert np.abs(io.read(path)[0]).max() < 0.02
    except AudioError as error:
        assert "damaged or cut short" in str(error)


def test_of_a_file_that_grows_what_was_there_is_read(tmp_path):
    path = encode(tmp_path / "a.aac", chirp(300_000), 44100, "aac", "adts", b=320_000)  # more than one buffer
    want, more = io.read(path)[0], path.read_bytes()[:300]
    with open_recording(path) as recording, open(path, "ab") as file:
        file.write(more)
        file.flush()
        found = [recording.file.read(1 << 14)]
        while len(found[-1]):
            found.append(recording.file.read(1 << 14))
    assert np.array_equal(np.concatenate(found).T, want)
