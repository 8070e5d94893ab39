"""Two content encoders of one width and other weights are told apart wherever one could stand for the other."""

import json
from types import SimpleNamespace

import engines
import pytest
import torch
from command_line import run

from fastsvc.artifact import content_encoder, engine_folder
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.build.passes.read import check_pass, read_pass
from fastsvc.build.plan import BuildPlan
from fastsvc.checkpoints import read
from fastsvc.commands import corpus_recipe
from fastsvc.config import to_dict
from fastsvc.data.units import encoder_hash
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.evaluation import systems
from fastsvc.features.content import RecogniserEncoder
from fastsvc.model import packed, stored
from fastsvc.model.encoder_hash import KnownEncoder
from fastsvc.model.stored import half
from fastsvc.serve.builds import networks
from fastsvc.training import start


def trained(path, kind, encoder):
    """A checkpoint of a training on units of the encoder of that hash."""
    config = {"model": to_dict(engines.ACOUSTIC), "train": {"encoder": encoder}}
    return engines.native(path, kind, engines.ACOUSTIC, config=config)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Encoders ``right`` and ``wrong``, the hash of the first, a student of it, and its engine in fp16."""
    folder = tmp_path_factory.mktemp("encoders")
    right, wrong = (engines.native(folder / f"{s}.pt", "recogniser", engines.CONTENT, seed=s) for s in (1, 2))
    known = encoder_hash(RecogniserEncoder.of(read(right)))
    student = trained(folder / "s.pt", "student", known)
    (folder / "e").mkdir()
    engine = _built(folder / "e", student, right)
    return SimpleNamespace(right=right, wrong=wrong, hash=known, student=student, engine=engine, folder=folder)


def _built(folder, student, content):
    from fastsvc import build

    vocoder = engines.native(folder / "vocoder.pt", "vocoder", engines.VOCODER)
    given = {"vocoder": vocoder, "content": content, "precision": "fp16", "steps": (1,), "progress": None}
    return build.compile(student, folder / "engine.fsvc", target="cpu", **given)


def checked(made, student, content):
    """(what the checks of a build say, the content encoder as it goes on)."""
    lines = []
    plan = BuildPlan(checkpoint=student, out=made.folder / "x.fsvc", content_path=content, say=lines.append)
    content = check_pass(read_pass(plan)).content
    return [line for line in lines if line.startswith("check:")], content


def test_a_build_refuses_another_encoder_of_the_same_width(made):
    assert checked(made, made.student, made.right)[1].encoder == made.hash
    with pytest.raises(CheckpointError, match=r"2\.pt is not the content encoder that .*s\.pt was trained on"):
        checked(made, made.student, made.wrong)
    unknown = engines.native(made.folder / "u.pt", "student", engines.ACOUSTIC)
    assert checked(made, unknown, made.wrong)[0] == []  # older checkpoints do not say


def test_an_encoder_that_an_engine_rounded_is_the_same(made):
    """By the name that engines keep of it; without that, as in older ones, one line says that it is not known."""
    known = content_encoder.known(Artifact(made.engine))
    assert known.exact in known.rounded and known.exact != made.hash == known.original
    said, content = checked(made, made.student, made.engine)
    assert said == [] and content.encoder == made.hash
    of_rounded = trained(made.folder / "r.pt", "student", known.exact)  # its corpus was prepared with the engine
    assert checked(made, of_rounded, made.engine)[0] == checked(made, of_rounded, made.right)[0] == []
    with pytest.raises(CheckpointError, match="is not the content encoder"):
        checked(made, of_rounded, made.wrong)
    older = _copied(made, "older.fsvc")
    said, content = checked(made, made.student, older)
    assert len(said) == 1 and "is not known" in said[0] and content.encoder is None


def _copied(made, name):
    """The engine as older versions wrote it, which named no hashes."""
    import shutil

    folder = made.folder / name
    if not folder.exists():
        shutil.copytree(made.engine, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        for part in (manifest, manifest["content"]):
            del part["source"]["encoder"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_corpus_like_an_engine_wants_the_engines_encoder(made):
    for engine in (made.engine, _copied(made, "older.fsvc")):
        recipe = corpus_recipe.of(None, str(engine))
        for encoder in (made.right, made.engine):
            assert recipe.encoder(str(encoder)).channels == 6
        with pytest.raises(CheckpointError, match="not the content encoder that .* was trained on"):
            recipe.encoder(str(made.wrong))


def _in_eight_bits(made, name, encoder, precision="fp16"):
    """An engine with the encoder ``right`` in eight bits; ``encoder``: the hash that it names."""
    folder = Artifact(made.engine)
    raw = {key: value for key, value in folder.raw_manifest.items() if key != "files"} | {"store": "int8"}
    raw |= {"source": folder.raw_manifest["source"] | {"encoder": encoder}}
    raw["content"] = raw["content"] | {"source": raw["content"]["source"] | {"encoder": encoder}}
    rounding, tensors = stored.rounding(precision, "int8"), read(made.right).tensors
    content = packed.packed({name: rounding(name, value) for name, value in tensors.items()})
    files = {name: folder.bytes(name) for name in folder.files if "/" not in name}
    return engine_folder.write(made.folder / name, raw, files | {engine_folder.CONTENT: content}, force=True)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_an_encoder_in_eight_bits_is_the_same(made, precision):
    engine = _in_eight_bits(made, "small.fsvc", made.hash, precision)
    known = content_encoder.known(Artifact(engine))
    assert known.exact not in (made.hash, content_encoder.known(Artifact(made.engine)).exact)
    assert known.before == made.hash
    said, content = checked(made, made.student, engine)
    assert said == [] and content.encoder == made.hash
    of_rounded = trained(made.folder / "r8.pt", "student", known.exact)  # its corpus was prepared with the engine
    for same in (engine, made.right):
        assert checked(made, of_rounded, same)[0] == []
    with pytest.raises(CheckpointError, match="is not the content encoder"):
        checked(made, of_rounded, made.wrong)
    for like in (engine, made.engine):
        for encoder in (made.right, made.engine, engine):
            assert corpus_recipe.of(None, str(like)).encoder(str(encoder)).channels == 6


def test_an_encoder_in_eight_bits_that_nothing_names_is_not_another(made):
    """As where it came from an engine in fp16 of before the hash."""
    engine = _in_eight_bits(made, "unnamed.fsvc", None)
    assert content_encoder.known(Artifact(engine)).before is None
    assert not content_encoder.is_another(Artifact(engine), "any other")
    said, content = checked(made, trained(made.folder / "x.pt", "student", "any other"), engine)
    assert len(said) == 1 and said[0].startswith("check: the weights in") and content.encoder is None


def test_a_damaged_encoder_is_one_line(made):
    engine = _in_eight_bits(made, "damaged.fsvc", made.hash)
    folder = Artifact(engine)
    tensors = folder.tensors(engine_folder.CONTENT) | {"scalar": torch.tensor(1.0)}
    raw = {key: value for key, value in folder.raw_manifest.items() if key != "files"}
    files = {name: folder.bytes(name) for name in folder.files}
    engine_folder.write(engine, raw, files | {engine_folder.CONTENT: packed.packed(tensors)}, force=True)
    with pytest.raises(CheckpointError, match="unexpected: scalar"):
        corpus_recipe.of(None, str(engine))


def test_a_corpus_with_other_units_is_refused_before_the_work(made, tmp_path):
    (tmp_path / "corpus").mkdir()
    described = {"mel": {}, "features": {}, "singers": [], "phones": [], "singer_f0_hz": {}, "items": []}
    described |= {"mel_mean": [], "mel_std": [], "encoder": {"hash": "other", "channels": 6}}
    corpus = tmp_path / "corpus" / "corpus.json"
    corpus.write_text(json.dumps(described))
    for like in (made.student, made.engine):
        shown = run("prepare", tmp_path, "-o", tmp_path / "corpus", "--like", like, code=2)
        assert shown.stderr.count("\n") == 1 and "has units of another content encoder than" in shown.stderr
    older = corpus_recipe.of(None, str(_copied(made, "older.fsvc")))
    older.check_units(str(tmp_path / "corpus"))  # whose hash before the rounding nobody knows
    corpus.write_text(json.dumps(described | {"encoder": {"hash": "other", "channels": 7}}))
    with pytest.raises(ConfigError, match="another content encoder"):
        older.check_units(str(tmp_path / "corpus"))
    corpus.write_text(json.dumps(described | {"encoder": {"hash": made.hash, "channels": 6}}))
    corpus_recipe.of(None, str(made.student)).check_units(str(tmp_path / "corpus"))


def test_an_evaluation_refuses_a_teacher_of_another_encoder(made):
    import fastsvc

    engine = fastsvc.load(made.engine, device="cpu")
    systems.teacher(engine, trained(made.folder / "t1.pt", "teacher", made.hash))
    with pytest.raises(CheckpointError, match="units of another content encoder than the engine's"):
        systems.teacher(engine, trained(made.folder / "t2.pt", "teacher", "other"))


def test_a_server_shares_the_encoder_of_the_voices_own_training_alone(made):
    voice, vocoder = read(made.student), made.folder / "v.pt"
    assert networks.choose(voice, None, vocoder, [made.engine]).content == made.engine
    damaged = _copied(made, "damaged_content.fsvc")
    (damaged / engine_folder.CONTENT).write_bytes(b"")
    assert networks.choose(voice, None, vocoder, [damaged, made.engine]).content == made.engine
    other = read(trained(made.folder / "o.pt", "student", "other"))
    with pytest.raises(CheckpointError, match="the recogniser of its corpus"):
        networks.choose(other, None, vocoder, [made.engine])


@pytest.mark.parametrize("encoder", [5, ["a"], "a" * 1001])
def test_a_hash_that_no_engine_could_name_is_refused(tmp_path, encoder):
    with pytest.raises(CheckpointError, match=r"config\.train\.encoder is "):
        read(trained(tmp_path / "s.pt", "student", encoder))


def test_training_compares_widths_too(made):
    """Of checkpoints that do not name their encoder."""
    content = torch.load(engines.native(made.folder / "w.pt", "teacher", engines.ACOUSTIC), weights_only=True)
    for channels, other in ((6, False), (7, True)):
        corpus = SimpleNamespace(encoder={"hash": "x", "channels": channels})
        assert start.other_units(content, engines.ACOUSTIC, "w.pt", corpus) is other


def test_the_hash_is_of_weights_and_the_name_of_the_units():
    tensors = {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3)}
    known = KnownEncoder(engines.CONTENT, tensors)
    as_stored = KnownEncoder(engines.CONTENT, {name: half(name, value) for name, value in tensors.items()})
    assert known.before == known.exact != as_stored.exact and as_stored.exact in known.rounded
    assert as_stored.before is None
    assert known.gave(known.exact) and known.gave(as_stored.exact) and known.gave("other") is False
    assert as_stored.gave(known.exact) is None and as_stored.gave(None) is None
    assert KnownEncoder(engines.CONTENT, as_stored.tensors, known.exact).gave(known.exact)
