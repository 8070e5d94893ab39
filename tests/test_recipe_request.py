"""`fastsvc train SINGERS/`: what it says and refuses before it trains, its budget, its state and its display."""

import shutil
from collections import namedtuple

import engines
import pytest
import yaml
from click.testing import CliRunner
from song_folders import tone, write
from test_demo_configs import settings_class

from fastsvc import reading
from fastsvc.cli import main
from fastsvc.config import from_dict
from fastsvc.errors import AudioError, ConfigError, OutputError, ResourceError
from fastsvc.recipe import budget, configs, run, songs, state
from fastsvc.recipe.progress import Progress
from fastsvc.training.settings import read_settings


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("base"), target="cpu")


@pytest.fixture
def few_seconds(monkeypatch):
    monkeypatch.setattr(songs, "LEAST_S", 3.0)


def one_singer(folder, count=5):
    for song in range(count):
        write(folder / f"song{song}.wav", tone(1.5, 24000, 200.0 + 20 * song), 24000)
    return folder


def test_budgets():
    assert [budget.minutes_of(text) for text in ("30min", "2h", "1.5 H", "overnight")] == [30, 120, 90, 480]
    for text in ("soon", "0min", "-3h", "30", "1000h"):
        with pytest.raises(ConfigError, match="is not a time"):
            budget.minutes_of(text)
    estimate = budget.Estimate(prepare=2.0, build=1.0)
    assert estimate.training(33.0) == pytest.approx(30)
    assert estimate.training(33.0, used=10.0) == pytest.approx(22)
    assert estimate.training(4.0, used=10.0) == 2  # at least half
    assert [budget.shown(m) for m in (0.4, 30, 480)] == ["24 s", "30 min", "8.0 h"]


def test_songs_straight_in_the_folder_are_of_one_singer_named_after_it(tmp_path, few_seconds):
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "broken.wav").write_bytes(b"RIFF")
    found = songs.look(one_singer(tmp_path / "me"))
    assert found.only == "me" and found.seconds == {"me": pytest.approx(7.5)} and found.recordings == 6
    other = songs.look(tmp_path)
    assert other.only is None and list(other.seconds) == ["me"]
    (tmp_path / "me" / "song0.wav").touch()
    assert songs.look(tmp_path / "me").fingerprint == found.fingerprint
    write(tmp_path / "me" / "song0.wav", tone(1.5, 24000, 201.0), 24000)  # another take of the same size
    assert songs.look(tmp_path / "me").fingerprint != found.fingerprint


def test_bad_folders_and_too_little_audio(tmp_path):
    with pytest.raises(AudioError, match="no such folder"):
        songs.look(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="holds no recordings"):
        songs.look(tmp_path / "empty")
    with pytest.raises(AudioError, match="me has 8 s of readable recordings, the least is 60 s"):
        songs.look(one_singer(tmp_path / "me"))


def test_a_run_continues_with_the_same_request_alone(tmp_path):
    first = state.State("/songs", "abc", 30.0, "/base.fsvc")
    assert state.load(tmp_path) is None
    first.save(tmp_path)
    assert state.load(tmp_path) == first
    with pytest.raises(ConfigError, match=r"a budget in minutes of 30, not 60"):
        state.check_same(first, state.State("/songs", "abc", 60.0, "/base.fsvc"), tmp_path)
    with pytest.raises(ConfigError, match="other recordings than /songs has now"):
        state.check_same(first, state.State("/songs", "abd", 30.0, "/base.fsvc"), tmp_path)
    changed = state.State("/songs", "abd", 60.0, "/base.fsvc")
    assert state.continued(first, changed, tmp_path) == changed  # nothing is finished yet, as when prepare failed
    with pytest.raises(ConfigError, match="the songs of|songs of /songs, not /others"):
        state.continued(first, state.State("/others", "abd", 60.0, "/base.fsvc"), tmp_path)
    first.done.append("prepare")
    with pytest.raises(ConfigError, match="a budget in minutes of 30, not 60"):
        state.continued(first, changed, tmp_path)
    older = '{"songs": "/songs", "format": 2, "plan": {"teacher": 3.0}}'
    (tmp_path / state.FILE).write_text(older)
    with pytest.raises(OutputError, match=r"begun by another version of fastsvc \(format 2 .* choose another -o"):
        state.load(tmp_path)
    assert (tmp_path / state.FILE).read_text() == older
    (tmp_path / state.FILE).write_text('{"songs": 3}')
    with pytest.raises(OutputError, match="cannot be read"):
        state.load(tmp_path)
    (tmp_path / state.FILE).unlink()
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a run of"):
        state.load(tmp_path)


def test_the_display_goes_from_stage_to_stage_and_never_back():
    progress = Progress({"prepare": 1, "teacher": 3}, [])
    places = []
    real = progress.bar.update
    progress.bar.update = lambda count: (real(count), places.append(progress.bar.n))
    progress.begin("prepare", 2)
    assert list(progress.part([1, 2], desc="files")) == [1, 2]
    with progress.part(total=4, desc="units") as part:
        part.update(2)
    assert places[-1] == pytest.approx(18.75)
    progress.end()
    progress.begin("teacher", 1)
    progress.part(total=100.0, initial=50).update(10)
    assert progress.bar.n == pytest.approx(25 + 0.6 * 75) and places == sorted(places)
    progress.close()


@pytest.mark.parametrize("kind", configs.KINDS)
def test_every_configuration_is_in_the_package_and_known(tmp_path, kind):
    result = CliRunner().invoke(main, ["train", "--print-config", kind])
    assert result.exit_code == 0 and result.stdout.startswith("# ")
    (tmp_path / "c.yaml").write_text(result.stdout)
    if kind == "prepare":
        assert set(yaml.safe_load(result.stdout)) == {"mel", "features"}
        return
    found = read_settings(tmp_path / "c.yaml")
    assert (found.corpus, found.out) == ("corpus", f"runs/{kind}")
    from_dict(settings_class("student" if kind == configs.PAIRED else kind, found.task), found.task, kind)


def command(*words):
    return CliRunner().invoke(main, ["train", *map(str, words)])


def test_what_the_command_line_refuses(tmp_path, monkeypatch, few_seconds, engine):
    monkeypatch.chdir(tmp_path)
    one_singer(tmp_path / "teacher")
    named = command("teacher")
    assert named.exit_code == 2 and "fastsvc train ./teacher" in named.stderr
    assert "Missing argument" in command().stderr
    assert "--budget belongs to a folder of songs" in command("student", "-c", "x", "--budget", "2h").stderr
    assert "an engine's name ends in .fsvc (use -o me.fsvc)" in command("./teacher", "-o", "me").stderr
    assert "-c belongs to a KIND, and" in command("./teacher", "-c", "x").stderr
    absent = command("techer")
    assert absent.exit_code == 2 and "neither a folder of songs nor a kind of training" in absent.stderr
    shutil.copytree(engine, tmp_path / "mine.fsvc")
    existing = command("./teacher", "-o", "mine.fsvc", "--budget", "1min", "--base", engine)
    assert existing.exit_code == 2 and "mine.fsvc exists" in existing.stderr and "--force" not in existing.stderr
    assert not (tmp_path / "mine.training").exists()


def test_a_full_disk_is_noticed_before_the_work(tmp_path, monkeypatch, few_seconds, engine):
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10**5)
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ResourceError, match="0 MB are free"):
        run.train(one_singer(tmp_path / "me"), tmp_path / "me.fsvc", engine=engine, say=lambda line: None, quiet=True)
    assert not (tmp_path / "me.training" / state.FILE).exists()


def test_the_base_s_encoder_hears_crops_in_disguise_and_listens_where_it_is_one_of_ours(tmp_path):
    from fastsvc.config import from_dict
    from fastsvc.recipe import configs, stages
    from fastsvc.training.paired.settings import PairedSettings

    content = tmp_path / "content.pt"
    plain = reading.parse_yaml(configs.text(configs.PAIRED), numbers=True)["task"]
    for there in (True, False):
        if there:
            content.touch()
        else:
            content.unlink()
        task = from_dict(PairedSettings, plain | stages.Training._encoder(content), "task")
        assert (task.disguise.share > 0) == there == bool(task.listeners.phones) == (task.losses.phones.weight > 0)
        assert (task.losses.hold.weight > 0) != there
        assert task.disguise.content == (str(content) if there else "")
