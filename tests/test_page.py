"""The page of `fastsvc serve` in a real Chromium, from the recording to the download, without leaving the machine."""

import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browsers import PHONE, Visit, chromium, painted, serious
from recordings import put
from servers import Server, checkpoint

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
SINGING = ROOT / "examples" / "recordings" / "singing"
TEXT = json.loads((ROOT / "fastsvc" / "serve" / "page" / "text.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A folder: in/ with short recordings, a long one and a bad one; out/ with what `fastsvc convert` makes of them."""
    folder = tmp_path_factory.mktemp("songs")
    audio, rate_hz = soundfile.read(SINGING / "viktor.wav", dtype="float32")
    for name, start_s, seconds in (("song", 0.5, 4.0), ("höher", 2.0, 0.7), ("tiefer", 3.0, 0.9)):
        put(folder / "in" / f"{name}.wav", audio[None, int(start_s * rate_hz) :][:, : int(seconds * rate_hz)], rate_hz)
    command = [sys.executable, "-m", "fastsvc", "convert", folder / "in", "--spk", "slt", "-o", folder / "out", "-q"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(list(map(str, command)), check=True, env=environment, timeout=120)
    put(folder / "long.wav", np.tile(audio, 12)[None], rate_hz)
    (folder / "text.wav").write_text("this is no recording\n" * 99)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("serve") / "home") as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with chromium(SINGING / "viktor.wav") as browser:
        yield browser


@pytest.fixture
def visit(browser, server):
    visit = Visit(browser, server.url)
    yield visit
    visit.close()


def test_from_the_recording_to_the_download(visit, songs):
    """Upload, progress, pictures of before and after, playing, download: the bytes of the command line."""
    page = visit.page
    visit.choose(songs / "in" / "song.wav")
    visit.voice("slt")
    visit.untransposed()
    page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => {
                const card = document.querySelector("#jobs [data-job]");
                const share = card?.querySelector("[data-role=progress]").getAttribute("aria-valuenow");
                if (card) window.seen.push([card.dataset.state, Number(share)]);
            }).observe(document.getElementById("jobs"), {subtree: true, childList: true, attributes: true});
        }"""
    )
    visit.convert()
    page.locator("#compare[data-state=ready]").wait_for(timeout=45_000)
    seen = page.evaluate("window.seen")
    assert {state for state, _ in seen} >= {"running", "done"}
    assert any(0 < share < 100 for state, share in seen if state == "running")
    pictures = [page.locator(f"#picture-{side}") for side in ("before", "after")]
    assert all(painted(picture) > 30 for picture in pictures)

    length = float(page.locator("#position").get_attribute("max"))
    assert length == pytest.approx(4.0, abs=0.05)
    page.click("#play")
    visit.until(lambda: float(page.locator("#position").input_value()) > 0.3)
    page.click("#side-before")
    assert page.locator("#side-before").get_attribute("aria-pressed") == "true"
    here = float(page.locator("#position").input_value())
    visit.until(lambda: float(page.locator("#position").input_value()) > here)  # the place is common to both
    page.click("#play")
    visit.picture("page")
    page.click("#zoom-in")
    name, content = visit.downloaded(page.locator("#download"))
    assert name.endswith(".wav") and content == (songs / "out" / "song.wav").read_bytes()

    page.reload()  # the history is still there
    visit.card("done")
    visit.check()


def test_a_file_that_is_no_recording_is_named_and_others_go_on(visit, songs):
    visit.choose(songs / "text.wav")
    visit.voice("slt")
    visit.convert()
    told = visit.page.locator("#alert .what, #jobs [data-state=failed] [data-role=error]").first
    told.wait_for()
    assert "text.wav" in told.inner_text() and "not an audio file" in told.inner_text()
    visit.page.locator("#input-list [data-role=input-remove]").click()
    visit.choose(songs / "in" / "tiefer.wav")
    visit.convert()
    visit.card("done")
    visit.check(expected="415")


def test_cancel(visit, songs, record_property):
    visit.choose(songs / "long.wav")
    visit.voice("slt")
    visit.convert()
    card = visit.card("running")
    start = time.monotonic()
    card.locator("[data-role=cancel]").click()
    visit.card("cancelled")
    took_s = time.monotonic() - start
    record_property("say", f"page: a running job is cancelled after {took_s:.2f} s")
    assert took_s < 3
    visit.check()


def test_several_files_come_back_as_a_zip(visit, songs):
    paths = sorted((songs / "in").glob("*er.wav"))
    visit.choose(*paths)
    visit.voice("slt")
    visit.untransposed()
    visit.convert()
    zipped = visit.page.locator("#jobs [data-role=zip]")
    zipped.wait_for(timeout=45_000)
    name, content = visit.downloaded(zipped)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        found = {entry: archive.read(entry) for entry in archive.namelist()}
    assert name.endswith(".zip")
    assert found == {f"{path.stem}_slt.wav": (songs / "out" / path.name).read_bytes() for path in paths}
    visit.check()


@pytest.mark.long
def test_a_voice_is_built_from_an_upload_used_renamed_and_removed(visit, songs, tmp_path):
    page = visit.page
    page.click("#tab-voices")
    page.set_input_files("#upload-files", str(checkpoint(tmp_path)))
    page.fill("#upload-name", "Meine Stimme")
    page.click("#upload-start")
    build = page.locator("#builds [data-job][data-state=done]")
    build.wait_for(timeout=45_000)
    assert build.locator("[data-role=log] pre").inner_text()  # what the build said
    page.get_by_text("Meine Stimme").first.wait_for()
    page.click("#tab-convert")
    page.select_option("#engine", label="Meine Stimme")
    visit.choose(songs / "in" / "tiefer.wav")
    visit.convert()
    visit.card("done")
    page.click("#tab-voices")
    row = page.locator("#engine-list [data-engine]").filter(has_text="Meine Stimme")
    row.locator("[data-role=rename]").click()
    page.fill("#rename", "Other")
    page.click("#rename-save")
    row = page.locator("#engine-list [data-engine]").filter(has_text="Other")
    row.locator("[data-role=delete]").click()
    page.click("#confirm-yes")
    row.wait_for(state="detached")
    visit.check()


@pytest.mark.long
def test_live_with_the_microphone(visit):
    page = visit.page
    page.click("#tab-live")
    slt = page.locator("#live-voice option", has_text="slt")
    page.select_option("#live-voice", value=slt.get_attribute("value"))
    page.click("#live-start")
    for number in ("latency", "compute"):  # the second comes with the statistics of the first second
        visit.until(lambda number=number: re.search(r"\d", page.locator(f"#live-{number}").inner_text()), 45)
    visit.until(lambda: int(page.locator("#meter-out").get_attribute("aria-valuenow")) > -50)
    assert page.locator("#live-start").get_attribute("aria-pressed") == "true"
    assert re.fullmatch(r"\d+", page.locator("#live-late").inner_text())
    assert re.fullmatch(r"[\d,]+", page.locator("#live-dropped").inner_text())
    page.locator("#live-transpose").fill("3")
    page.click("#live-start")
    page.locator("#live-start[aria-pressed=false]").wait_for()
    visit.check()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_accessible_in_light_and_dark(browser, server, songs, colours):
    visit = Visit(browser, server.url, color_scheme=colours)
    page = visit.page
    visit.choose(songs / "in" / "tiefer.wav")
    visit.voice("slt")
    visit.convert()
    page.locator("#compare[data-state=ready]").wait_for(timeout=45_000)
    if colours == "dark":
        visit.picture("page_dark")
    page.locator("#options summary").click()
    found = serious(page)
    for tab in ("live", "voices"):
        page.click(f"#tab-{tab}")
        found += serious(page)
    assert found == []
    visit.check()
    visit.close()


@pytest.mark.parametrize("language", ["de", "zh"])
def test_other_languages(browser, server, language):
    visit = Visit(browser, server.url, locale={"de": "de-AT", "zh": "zh-CN"}[language])
    page = visit.page
    assert page.locator("html").get_attribute("lang").startswith(language)
    assert page.locator("#tab-convert").inner_text() == TEXT[language]["tabs.convert"] != TEXT["en"]["tabs.convert"]
    texts = page.evaluate("[...document.querySelectorAll('[data-text]')].map(e => [e.dataset.text, e.textContent])")
    assert len(texts) > 50 and [key for key, text in texts if text in ("", key)] == []
    page.select_option("#language", "en")
    assert page.locator("#tab-convert").inner_text() == TEXT["en"]["tabs.convert"]
    visit.check()
    visit.close()


@pytest.mark.long
def test_a_phone(browser, server, songs):
    visit = Visit(browser, server.url, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = visit.page
    visit.choose(songs / "in" / "tiefer.wav")
    visit.voice("slt")
    page.locator("#convert").tap()
    page.locator("#compare[data-state=ready]").wait_for(timeout=45_000)
    for tab in ("convert", "live", "voices"):
        page.locator(f"#tab-{tab}").tap()
        width = page.evaluate("[document.scrollingElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1] == PHONE["width"], tab
    page.locator("#tab-convert").tap()
    page.locator("#compare").scroll_into_view_if_needed()
    assert serious(page) == []
    visit.picture("page_phone")
    visit.check()
    visit.close()
