"""Human speech from Debian's packages: fetched without root, one folder per speaker, labels in the choir's phones."""

import json
import stat
from pathlib import Path

import pytest

from bench.speech import fetch, packages, russian, speakers, spoken
from fastsvc.data.choir.phones import PHONES


def package(tmp_path, name, files):
    for file, text in files.items():
        path = tmp_path / "packages" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "packages" / name


def test_test_recordings_are_never_laid_out():
    """What tests alone may use has no place among the speakers."""
    assert {name for name, one in packages.PACKAGES.items() if one.use == "test"}.isdisjoint(speakers.LAYOUTS)
    assert set(packages.TRAIN) == set(speakers.LAYOUTS)
    free = {name for name, one in packages.PACKAGES.items() if one.bundled}
    assert free == {"festvox-ru", *packages.TOOLS}


def test_russian_phones_have_places_in_the_choir():
    assert {phone for ours in russian.PHONES.values() for phone in ours} <= set(PHONES)
    assert len(russian.PHONES) == 51


def test_festvox_ru_gets_transcripts(tmp_path):
    voice = "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    labels = "#\n0.3000 125 pau\n0.5000 125 c\n0.6500 125 ae\n"
    made = package(tmp_path, "festvox-ru", {f"{voice}/wav/ru_0001.wav": "", f"{voice}/lab/ru_0001.lab": labels})
    assert speakers.lay_out(made, tmp_path / "speakers") == {"festvox-ru": 1}
    assert speakers.lay_out(made, tmp_path / "speakers") == {"festvox-ru": 1}  # again
    said = json.loads((tmp_path / "speakers/festvox-ru/ru_0001.json").read_text())
    assert [phone for phone, *_ in said["phones"]] == ["pau", "t", "s", "ah"] and said["f0_hz"] is None
    assert [end for *_, end in said["phones"]] == pytest.approx([0.3, 0.4, 0.5, 0.65])
    assert (tmp_path / "speakers/festvox-ru/ru_0001.wav").resolve() == made / voice / "wav/ru_0001.wav"


@pytest.mark.parametrize("line", ["0.5000 125 qq", "0.2000 125 a"])
def test_a_wrong_label_is_noticed(tmp_path, line):
    path = tmp_path / "x.lab"
    path.write_text(f"#\n0.3000 125 pau\n{line}\n")
    with pytest.raises(ValueError, match="unknown phone 'qq'|ends before it starts"):
        russian.read(path)


def test_actors_and_languages_become_speakers(tmp_path):
    sound = "usr/share/games/fillets-ng/sound"
    names = "city/cs/vit-m-a.ogg", "city/cs/vit-hs-b.ogg", "share/x/cs/bor-v-c.ogg"
    files = {f"{sound}/{name}": "" for name in names}
    counts = speakers.lay_out(package(tmp_path, "fillets-ng-data-cs", files), tmp_path / "speakers")
    assert counts == {"fillets-cs-small": 1, "fillets-cs-others": 1, "fillets-cs-big": 1}
    root = "usr/share/klettres"
    files = {f"{root}/en/alpha/a.ogg": "", f"{root}/en/syllab/a.ogg": "", f"{root}/fr/alpha/b.ogg": ""}
    counts = speakers.lay_out(package(tmp_path, "klettres-data", files), tmp_path / "speakers")
    assert counts == {"klettres-en": 2, "klettres-fr": 1}
    assert (tmp_path / "speakers/klettres-en/syllab-a.ogg").is_symlink()


def program(folder, name, script):
    path = folder / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("relative", [False, True])
def test_a_package_is_downloaded_and_unpacked_once(tmp_path, monkeypatch, relative):
    """As the real programs are: dpkg-deb makes no folder but the last, and a path is seen from their own folder."""
    tools = tmp_path / "tools"
    tools.mkdir()
    program(tools, "apt-get", 'echo "$@" >> calls; touch "$2_1%3a2.0_all.deb"\n')
    program(tools, "dpkg-deb", 'test -f "$2" && mkdir "$3" "$3/usr"\n')
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    folder = Path("work/speech") if relative else tmp_path / "work/speech"
    for _ in range(2):
        assert fetch.fetch("klettres-data", folder) == tmp_path / "work/speech/packages/klettres-data"
    assert (folder / "debs/calls").read_text() == "download klettres-data\n"
    assert fetch.version("klettres-data", folder) == "1:2.0"


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(fetch.FetchError, match="apt-get is not installed: speech comes from Debian's packages"):
        fetch.fetch("festvox-ru", tmp_path)
    program(tools, "apt-get", 'echo "E: Failed to fetch festvox-ru" >&2; exit 100\n')
    with pytest.raises(fetch.FetchError, match="cannot download it: E: Failed to fetch festvox-ru"):
        fetch.fetch("festvox-ru", tmp_path)
    with pytest.raises(fetch.FetchError, match="flite is not installed"):
        spoken.speak("slt", "Hello.", tmp_path / "x.wav")


def test_sentences_are_plain_and_follow_the_seed():
    first = spoken.sentences(0)
    assert len(first) > 300 and first == spoken.sentences(0) != spoken.sentences(1)
    assert all(spoken.WORDS[0] <= len(text.split()) <= spoken.WORDS[1] for text in first)


def test_flite_says_phones_with_times(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    program(tools, "flite", "echo pau:0.2 hh:0.3 ax:0.4 l:0.5 ow:0.7 pau:0.9\n")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    spoken.speak("slt", "Hello.", tmp_path / "x.wav")
    said = json.loads((tmp_path / "x.json").read_text())["phones"]
    assert said[:3] == [["pau", 0, 0.2], ["hh", 0.2, 0.3], ["ah", 0.3, 0.4]]
    program(tools, "flite", "echo qq:0.2\n")
    with pytest.raises(fetch.FetchError, match="flite failed on 'Hello.'.*qq"):
        spoken.speak("slt", "Hello.", tmp_path / "x.wav")
