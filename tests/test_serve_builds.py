"""Uploaded voices: what is built and installed, and what hostile files come to. In this process, without a server."""

import json
import pickle
import shutil
import tempfile
import zipfile
from pathlib import Path

import huberts
import numpy as np
import pytest
import rvc_engines
import rvc_files
import rvc_golden
from engines import SPEAKERS, build_engine

from fastsvc import load
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.errors import CheckpointError, FastsvcError, ResourceError
from fastsvc.serve.builds import build, engine_zip, kinds, limits

MEMORY = 4 * 10**9


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def singer(tmp_path_factory):
    """An engine of RVC, whose HuBERT other voices share."""
    return rvc_engines.build_engine(tmp_path_factory.mktemp("singer"))


@pytest.fixture(autouse=True)
def harmless(monkeypatch):
    """Limits of the process are for workers, and this one goes on."""
    monkeypatch.setattr(limits, "apply", lambda memory_bytes: None)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())


class Uploaded:
    """A folder as the server leaves it for the build; ``files``: role → a file to copy there."""

    def __init__(self, folder: Path, **files):
        self.folder, self.received, self.lines, self.fractions = folder, {}, [], []
        (folder / build.UPLOAD).mkdir(parents=True)
        for role, path in files.items():
            name = kinds.role(role, Path(path).name)[1]
            self.received[role] = name
            shutil.copyfile(path, folder / build.UPLOAD / name)

    def built(self, name="Anna Ä", engines=(), memory_bytes=MEMORY):
        notes = build.run(
            self.lines.append,
            self.fractions.append,
            voice="x",
            name=name,
            folder=str(self.folder),
            received=self.received,
            engines=list(map(str, engines)),
            memory_bytes=memory_bytes,
        )
        json.dumps(notes)
        return self.folder / "voice.fsvc"

    def refused(self, kind=FastsvcError, **options):
        with pytest.raises(kind) as caught:
            self.built(**options)
        assert not (self.folder / "voice.fsvc").exists()
        return str(caught.value)


def _zip(path, folder, prefix="", leave=(), more=()):
    """A zip of an engine folder."""
    entries = [(prefix + file.relative_to(folder).as_posix(), file.read_bytes())
               for file in sorted(folder.rglob("*")) if file.is_file() and file.name not in leave]  # fmt: skip
    return rvc_files.zipped(path, *entries, *more)


def _converts(folder):
    audio, rate_hz = load(folder, device="cpu").convert(np.sin(np.arange(4000) / 10).astype(np.float32), 16000, 0)
    return len(audio) == 4000 and rate_hz == 16000 and np.isfinite(audio).all()


@pytest.mark.long
def test_a_voice_of_rvc_shares_the_encoder_of_another(tmp_path, singer, monkeypatch):
    monkeypatch.chdir(tmp_path)
    upload = Uploaded(tmp_path / "v", voice=rvc_engines.voice("v1_40k"))
    out = upload.built(engines=[tmp_path / "gone.fsvc", singer])
    assert _converts(out) and load(out).speakers[0] == "Anna Ä"
    assert any("its content encoder is that of the engine v1_40k" in line for line in upload.lines)
    assert not any(str(tmp_path) in line for line in upload.lines)
    assert upload.fractions == sorted(upload.fractions) and 0 < upload.fractions[-1] < 1
    assert not (tmp_path / "v" / build.UPLOAD).exists()
    assert "content encoder" in Uploaded(tmp_path / "w", voice=rvc_engines.voice("v1_40k")).refused()


@pytest.mark.slow
def test_an_index_and_the_encoder_come_with_a_zip(tmp_path):
    """As people share voices: a zip with the index, and hubert_base.pt beside."""
    encoder = huberts.fairseq(tmp_path / "hubert_base.pt", rvc_engines.HUBERTS["v1"])
    index = next((rvc_golden.FOLDER / "index_v1").glob("added_*"))
    entries = [
        ("My voice/Lena.pth", rvc_engines.voice("v1_40k").read_bytes()),
        (f"My voice/{index.name}", index.read_bytes()),
    ]
    upload = Uploaded(tmp_path / "v", voice=rvc_files.zipped(tmp_path / "a.zip", *entries), content=encoder)
    out = upload.built(name="Renamed")
    assert load(out).speakers[0] == "Lena" and load(out).index is not None  # the archive's own name
    assert any(line.startswith(f"read: index {index.name}") for line in upload.lines)


@pytest.mark.parametrize("prefix", ["", "alto.fsvc/"])
def test_an_engine_is_installed_without_what_runs(tmp_path, engine, prefix):
    """Cubins, plans and graphs of the archive never reach the folder; manifest and tensors are those of the engine."""
    source = tmp_path / "source"
    shutil.copytree(engine, source)
    manifest = json.loads((source / "manifest.json").read_text())
    (source / "sm_90").mkdir()
    for name, text in {"sm_90/a.cubin": b"code", "cpu/choice.json": b"{}", "../../x": b"x"}.items():
        manifest["files"][name] = {"bytes": len(text), "sha256": "0" * 64}
    (source / "sm_90" / "a.cubin").write_bytes(b"code")
    (source / "manifest.json").write_text(json.dumps(manifest))
    archive = _zip(tmp_path / "alto.fsvc.zip", source, prefix, more=[("run.py", b"raise SystemExit")] if prefix else [])
    upload = Uploaded(tmp_path / "v", voice=archive)
    out = upload.built()
    names = sorted(path.name for path in out.iterdir())
    assert names == ["content.safetensors", "manifest.json", "vocoder.safetensors", "weights.safetensors"]
    assert set(Artifact(out).files) == set(names) - {"manifest.json"} and load(out).speakers == SPEAKERS
    assert _converts(out) and not (tmp_path / "x").exists()


def _engine_files(engine):
    return {file.name: file.read_bytes() for file in engine.iterdir() if file.is_file()}


def _with(engine, path, **changes):
    """A zip of the engine with changed files (None: gone)."""
    files = _engine_files(engine) | {name.replace("__", "."): data for name, data in changes.items()}
    return rvc_files.zipped(path, *((name, data) for name, data in files.items() if data is not None))


def test_engines_that_were_made_to_harm(tmp_path, engine):
    manifest = json.loads((engine / "manifest.json").read_text())

    def refused(number, archive, **options):
        return Uploaded(tmp_path / f"v{number}", voice=archive).refused(**options)

    def changed(**values):
        return json.dumps({**manifest, **values}).encode()

    wrong = {**manifest["files"], "weights.safetensors": {"bytes": 5, "sha256": "0" * 64}}
    linked = {**manifest["files"], "weights.safetensors": {**manifest["files"]["weights.safetensors"], "file": "../w"}}
    cases = [
        _with(engine, tmp_path / "a.zip", manifest__json=b"{}"),
        _with(engine, tmp_path / "b.zip", manifest__json=b"[" * 100_000),
        _with(engine, tmp_path / "c.zip", manifest__json=changed(files=[])),
        _with(engine, tmp_path / "d.zip", manifest__json=changed(files=wrong)),
        _with(engine, tmp_path / "e.zip", manifest__json=changed(files=linked)),
        _with(engine, tmp_path / "f.zip", manifest__json=changed(speakers=[])),
        _with(engine, tmp_path / "g.zip", weights__safetensors=None),
        _with(
            engine, tmp_path / "h.zip", weights__safetensors=bytes(len((engine / "weights.safetensors").read_bytes()))
        ),
        _zip(tmp_path / "i.zip", engine, more=[("alto.fsvc/manifest.json", b"{}")]),
        _zip(tmp_path / "j.zip", engine, more=[("../../escaped", b"x")]),
        _zip(tmp_path / "k.zip", engine, more=[("bomb", bytes(200 * 2**20))]),
    ]
    texts = [refused(number, archive) for number, archive in enumerate(cases)]
    assert "leads out of the folder" in texts[9] and "unpacks" in texts[10]
    assert refused(99, _zip(tmp_path / "l.zip", engine), kind=ResourceError, memory_bytes=10**6)
    assert not list(tmp_path.rglob("escaped"))
    with pytest.raises(CheckpointError, match="the most is 0 MB"):
        engine_zip.unpack(tmp_path / "l.zip", tmp_path / "out", 1000)
    assert not (tmp_path / "out").exists()


def test_an_archive_with_a_link_or_two_engines(tmp_path, engine):
    link = zipfile.ZipInfo("weights.safetensors")
    link.external_attr = 0o120777 << 16
    files = _engine_files(engine) | {"weights.safetensors": None}
    entries = [(name, data) for name, data in files.items() if data is not None]
    archive = rvc_files.zipped(tmp_path / "a.zip", *entries, (link, b"/etc/passwd"))
    assert "is a link" in Uploaded(tmp_path / "v", voice=archive).refused()
    two = rvc_files.zipped(tmp_path / "b.zip", ("a/manifest.json", b"{}"), ("b/manifest.json", b"{}"))
    assert "holds 2 engines" in Uploaded(tmp_path / "w", voice=two).refused()


class Ran:
    """A pickle that would write a file."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voice.pth").write_bytes(pickle.dumps(Ran()))
    packed = rvc_files.zipped(tmp_path / "voice.zip", ("voice.pth", pickle.dumps(Ran())))
    for number, path in enumerate((tmp_path / "voice.pth", packed)):
        Uploaded(tmp_path / f"v{number}", voice=path).refused(kind=CheckpointError)
    evil = rvc_files.edited(tmp_path / "evil.pth", info=Ran())
    Uploaded(tmp_path / "v9", voice=evil).refused(kind=CheckpointError)
    assert not list(tmp_path.rglob("ran"))


def test_roles_and_names_of_files():
    assert kinds.role("file", r"C:\Users\x\Anna.PTH") == ("voice", "voice.pth")
    assert kinds.role("file", "../../Anna.fsvc") == ("voice", "voice.zip")
    assert kinds.role("content", "hubert_base.pt") == ("content", "content.pt")
    assert kinds.role("file", "added_IVF1_Flat_nprobe_1_anna_v2.index") == ("index", "voice.index")
    for name in ("voice.exe", "", "pth", ".."):
        with pytest.raises(CheckpointError):
            kinds.role("file", name)
    with pytest.raises(CheckpointError):
        kinds.role("content", "x.index")


@pytest.mark.parametrize(
    "file, expected",
    [
        ("../../Anna.pth", "Anna"),
        (r"C:\voices\Anna.fsvc.zip", "Anna"),
        ("a\0b.pth", "a b"),
        ("\u202egnp.exe\u200f.pth", "gnp.exe"),
        ("x" * 300 + ".pth", "x" * 76),  # 80 characters of the name are looked at
        (".pth", "voice"),
        ("", "voice"),
        ("A\u0308nna.pth", "Änna"),
    ],
)
def test_names_of_voices(file, expected):
    name = kinds.voice_name("", file)
    assert name.startswith(expected[:70]) and len(name) <= kinds.NAME_CHARACTERS and name.isprintable()
    if len(expected) < 70:
        assert name == expected
    assert kinds.voice_name(" My  voice\n", file) == "My voice"
    id = kinds.voice_id(name, "0f0f")
    assert id.endswith("-0f0f") and id.isascii() and len(id) < 40 and not set(id) & set("/\\.: \0")


def test_limits_look_into_zips(tmp_path):
    archive = rvc_files.zipped(tmp_path / "a.zip", ("voice.pth", bytes(10**6)))
    assert limits.unpacked_bytes(archive) > 10**6 > 10 * archive.stat().st_size
    with pytest.raises(ResourceError, match="of memory to build"):
        limits.check([archive], 10**6)
    limits.check([archive], 10**9)
