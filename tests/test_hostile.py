"""Files made to do harm, for every format: nothing is run, nothing outside is opened, no memory is taken, one line says
what is wrong. What is special to one format (fairseq's objects, .npy headers) stands with that format's tests."""

import copy
import io
import itertools
import os
import pickle
import shutil
import tracemalloc
import zipfile

import amphion_files
import engines
import formats
import golden
import huberts
import numpy as np
import pytest
import torch
import yaml

from fastsvc import build
from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.reading.loading import load

LIMIT = 300 * 2**20  # bytes that refusing may take at the most; the bombs below ask for terabytes


def m4gan(folder):
    source = golden.FOLDER / "m4gan_small"
    return shutil.copytree(source, folder) / "model_ckpt_steps_1970000.ckpt"


def amphion(folder):
    return amphion_files.experiment(folder) / "pytorch_model.bin"


def fairseq(folder):
    folder.mkdir(parents=True)
    return huberts.fairseq(folder / "checkpoint_best_legacy_500.pt")


MAKERS = {
    **formats.ACOUSTIC,
    "ptc": lambda folder: formats.diffusion_svc(folder, combo=True),
    "fork": formats.comosvc_fork,
    "amphion": amphion,
    "m4gan": m4gan,
    "nsf_hifigan": lambda folder: shutil.copytree(golden.FOLDER / "nsf_hifigan_small", folder) / "model",
    "huggingface": lambda folder: huberts.huggingface(folder, name="pytorch_model.bin") / "pytorch_model.bin",
    "fairseq": fairseq,
}


def refused(path, *arguments, **options) -> str:
    """The one line with which reading ends, having taken next to no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(path, *arguments, **options)
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 20_000, text[:500]
    return text


def plain(path) -> dict:
    """What a file holds, without the objects of other programs that fairseq's have."""
    content = {key: value for key, value in load(path).items() if key not in ("args", "task_state")}
    return copy.deepcopy(content)  # off the file, which is written anew


def states(content: dict):
    """Every dict inside that holds tensors directly."""
    if any(isinstance(value, torch.Tensor) for value in content.values()):
        yield content
    for value in content.values():
        if isinstance(value, dict):
            yield from states(value)


@pytest.mark.parametrize("name", MAKERS)
def test_code_beside_the_tensors_is_not_run(tmp_path, name):
    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    path = MAKERS[name](tmp_path / "x")
    content = plain(path)
    torch.save({**content, "extra": Bomb()}, path)
    assert "system" in refused(path)
    path.write_bytes(pickle.dumps({**{k: str(k) for k in content}, "extra": Bomb()}))
    refused(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", MAKERS)
def test_a_shape_that_the_file_does_not_back(tmp_path, name):
    """Each tensor of a small storage and a stride of 0 claims to be huge; the first is enough to refuse the file."""
    path = MAKERS[name](tmp_path / "x")
    content = plain(path)
    for state in states(content):
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = torch.zeros(1).expand(2**33, *[1] * max(0, value.dim() - 1))
    torch.save(content, path)
    assert "more than the file holds" in refused(path)


@pytest.mark.parametrize("name", MAKERS)
def test_truncated_and_empty(tmp_path, name):
    path = MAKERS[name](tmp_path / "x")
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        refused(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_an_archive_that_unpacks_to_more_than_itself(tmp_path, name):
    path = MAKERS[name](tmp_path / "x")
    entries = {}
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    data = next(entry for entry in entries if entry.endswith("data/0"))
    entries[data] += bytes(50_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    assert "more than its own size" in refused(path)


SIZES = [(name, key) for name in formats.ACOUSTIC for key in ("n_layers", "n_chans", "n_hidden", "n_spk")]
SIZES += [("fork", key) for key in ("n_layers", "n_chans", "n_hidden")] + [("m4gan", "upsample_initial_channel")]


@pytest.mark.slow
@pytest.mark.parametrize("name, key", SIZES)
def test_absurd_sizes_in_the_yaml(tmp_path, name, key):
    path = MAKERS[name](tmp_path / "x")
    file = path.with_name("config.yaml")
    values = yaml.safe_load(file.read_text())
    place = values.get("model", values)
    assert key in place
    for size in (2**31, 10**15):
        place[key] = size
        file.write_text(yaml.safe_dump(values))
        refused(path)


def laughs(to: str) -> str:
    """Eight values, and eight times as many under each further letter."""
    letters = "abcdefghij"[: "abcdefghij".index(to) + 1]
    rows = [f"{c}: &{c} [{','.join([f'*{b}'] * 8)}]\n" for b, c in itertools.pairwise(letters)]
    return "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(rows)


LAUGHS = laughs("j")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*formats.ACOUSTIC, "m4gan"])
@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "data: *j\nmodel: {n_layers: *j}\nhop_size: *j\naudio_sample_rate: *j\nresblock_dilation_sizes: *j\n",
        "[" * 1_000,  # as deep as Python recurses; libyaml, which is faster, would crash on 200,000
        "data: !!python/object/apply:os.system ['true']",
        "just words",
        "data:\n  sampling_rate: .nan\nmodel: 3\n",
        "\x00",
    ],
    ids=["laughs", "deep", "object", "words", "nan", "binary"],
)
def test_a_yaml_made_to_hurt(tmp_path, name, text):
    path = MAKERS[name](tmp_path / "x")
    path.with_name("config.yaml").write_text(text)
    refused(path)


def test_a_yaml_as_large_as_a_disk(tmp_path):
    path = formats.comosvc(tmp_path)
    with open(tmp_path / "config.yaml", "wb") as file:
        file.truncate(2**40)  # sparse
    assert "larger than" in refused(path)


@pytest.mark.parametrize("text", ["{" * 100_000, "[1]", '{"upsample_rates": 1e999}', '{"a": "' + "x" * 2**21 + '"}'])
def test_a_json_made_to_hurt(tmp_path, text):
    path = MAKERS["nsf_hifigan"](tmp_path / "x")
    path.with_name("config.json").write_text(text)
    refused(path)


@pytest.mark.slow
def test_absurd_sizes_in_the_json(tmp_path):
    import json

    path = MAKERS["nsf_hifigan"](tmp_path / "x")
    file = path.with_name("config.json")
    values = json.loads(file.read_text())
    for key, value in (
        ("upsample_initial_channel", 2**40),
        ("upsample_rates", [2] * 100_000),
        ("resblock_dilation_sizes", [[1] * 10**6] * 3),
        ("hop_size", 10**30),
        ("num_mels", 10**12),
    ):
        file.write_text(json.dumps({**values, key: value}))
        refused(path)


@pytest.mark.parametrize("name", formats.ACOUSTIC)
def test_paths_inside_a_configuration_are_not_followed(tmp_path, name):
    """A pipe that nobody writes to: whoever opened it would wait for ever (the test's time limit)."""
    os.mkfifo(tmp_path / "pipe")
    path = MAKERS[name](tmp_path / "x")
    file = path.with_name("config.yaml")
    values = yaml.safe_load(file.read_text())
    trap = str(tmp_path / "pipe")
    values |= {"vocoder": {"type": "nsf-hifigan", "ckpt": trap}, "env": {"expdir": trap, "comodir": "../../.."}}
    values["data"] |= {"encoder_ckpt": trap, "train_path": trap, "training_files": trap}
    values["spk"] = {f"../../{i}/etc/passwd": i for i in range(3)} if name in ("comosvc", "sovits") else {}
    file.write_text(yaml.safe_dump(values))
    before = set(tmp_path.rglob("*"))
    out = build.compile(path, tmp_path / "out" / "e.fsvc", steps=(1,), progress=None)
    made = set(tmp_path.rglob("*")) - before
    assert made == {out.parent, out, *out.iterdir()}


def test_a_bomb_of_speaker_embeddings(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**28,)})
    with zipfile.ZipFile(tmp_path / "v.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(20 * 2**20))
    text = refused(formats.comosvc_fork(tmp_path / "x"), speaker_vectors=tmp_path / "v.npz")
    assert "unpacks" in text
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:  # a small file whose header claims a gigabyte
        archive.writestr("a.npy", header.getvalue() + bytes(16))
    refused(formats.comosvc_fork(tmp_path / "y"), speaker_vectors=tmp_path / "w.npz")


def test_the_same_files_unharmed_are_read(tmp_path):
    """What is refused above is refused for its harm."""
    for name, make in MAKERS.items():
        assert read(make(tmp_path / name), inspect_only=True).tensors


@pytest.mark.parametrize(
    "odd, part",
    [
        (torch.zeros(16).to_sparse(), "not a plain array"),
        (torch.zeros(16, device="meta"), "not a plain array"),
        (torch.zeros(16).to(torch.float8_e4m3fn), "float8"),
        (torch.zeros(16, dtype=torch.complex64), "complex"),
    ],
    ids=["sparse", "meta", "float8", "complex"],
)
def test_tensors_of_odd_kinds(tmp_path, odd, part):
    path = formats.comosvc(tmp_path)
    content = torch.load(path)
    content["model"]["unit_embed.bias"] = odd
    torch.save(content, path)
    assert part in refused(path)


@pytest.mark.parametrize("step", [None, "x", torch.zeros(3), 10**400, [1]])
def test_a_step_that_is_no_number_refuses_nothing(tmp_path, step):
    path = formats.comosvc(tmp_path)
    torch.save({**torch.load(path), "global_step": step}, path)
    assert read(path).step == 0


def test_layers_without_numbers(tmp_path):
    """Looked at without a configuration, whose place the names of the tensors take."""
    path = formats.comosvc(tmp_path)
    path.with_name("config.yaml").unlink()
    content = torch.load(path)
    content["model"]["decoder.denoise_fn.residual_layers.x.weight"] = torch.zeros(2)
    torch.save(content, path)
    assert "residual_layers.x" in refused(path, inspect_only=True)


@pytest.mark.slow
def test_aliases_in_values_that_messages_name(tmp_path):
    """Some thousand values in places whose values are told when they are wrong, or copied; more are refused at once."""
    laughing = laughs("c").replace("c:", "j:").replace("&c", "&j")
    path = formats.sovits(tmp_path / "a")
    file = path.with_name("config.yaml")
    whole = file.read_text()
    file.write_text(LAUGHS + whole.replace("singer 0: 0", "singer 0: *j"))
    assert "holds more than 100000 values" in refused(path)
    file.write_text(laughing + whole.replace("singer 0: 0", "singer 0: *j"))
    assert "spk.singer 0" in refused(path)
    file.write_text(whole)
    (tmp_path / "pitch.yaml").write_text(laughing + "'singer 0': *j\n")
    with pytest.raises(ConfigError, match="median pitch") as caught:
        build.compile(path, tmp_path / "e.fsvc", speaker_f0=tmp_path / "pitch.yaml", progress=None)
    assert len(str(caught.value)) < 1000
    path = m4gan(tmp_path / "b")
    file = path.with_name("config.yaml")
    values = yaml.safe_load(file.read_text())
    faults = {
        "resblock": ("*j", "resblock is"),
        "upsample_rates": ("*j", "upsample_rates is"),
        "resblock_dilation_sizes": (f"[{'*many,' * 999}]", "resblock_dilation_sizes has 999 rows"),
    }
    for key, (value, part) in faults.items():
        rest = yaml.safe_dump({name: v for name, v in values.items() if name != key})
        file.write_text(f"{laughing}many: &many [{'1,' * 90}]\n{rest}{key}: {value}\n")
        assert part in refused(path)


@pytest.mark.slow
@pytest.mark.parametrize("text", ['{"a": ' + "/*x" * 100_000, '{"a": ' + '\\"' * 100_000, "// " * 100_000])
def test_comments_and_strings_that_never_end(tmp_path, text):
    """Searching for the end from every beginning would take hours (the test's time limit)."""
    path = amphion(tmp_path / "x")
    (tmp_path / "x" / "args.json").write_text(text)
    assert "args.json" in refused(path)


def test_options_that_mean_nothing_for_a_file(tmp_path):
    np.savez(tmp_path / "v.npz", alto=np.zeros(256, np.float32))
    path = formats.sovits(tmp_path / "a")
    assert "--era does not apply" in refused(path, era="plain")
    assert "takes speaker ids" in refused(path, speaker_vectors=tmp_path / "v.npz")
    assert "--speaker-vectors does not apply" in refused(m4gan(tmp_path / "b"), speaker_vectors=tmp_path / "v.npz")
    assert read(path, era="auto").tensors


@pytest.mark.parametrize("kind", [[], {}, ["x"], {"a": [1]}, None, 10**400, torch.zeros(3)])
def test_a_kind_that_is_no_name(tmp_path, kind):
    path = engines.native(tmp_path / "a.pt", "student", engines.ACOUSTIC, kind=kind)
    assert "unknown kind" in refused(path)
