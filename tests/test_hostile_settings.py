"""YAML and JSON made to do harm, for every format: absurd sizes, aliases, paths, endless texts."""

import itertools
import os

import formats
import pytest
import yaml
from hostile import MAKERS, amphion, m4gan, refused

from fastsvc import build
from fastsvc.errors import ConfigError

SIZES = [(name, key) for name in formats.ACOUSTIC for key in ("n_layers", "n_chans", "n_hidden", "n_spk")]
SIZES += [("fork", key) for key in ("n_layers", "n_chans", "n_hidden")] + [("m4gan", "upsample_initial_channel")]


@pytest.mark.slow
@pytest.mark.parametrize("name, key", SIZES)
@pytest.mark.sampled(4)
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
@pytest.mark.sampled(4)
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
