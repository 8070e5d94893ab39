"""What the page computes itself: pitch, mixtures, loudness, WAV files, the shown part, the jitter buffer."""

import io

import numpy as np
import pytest
import soundfile
from page_files import in_node

RATE_HZ = 8000


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One run of Node.js for all of them."""
    return in_node(PROGRAM, tmp_path_factory.mktemp("node"))


PROGRAM = """
globalThis.document = { addEventListener() {}, baseURI: "http://127.0.0.1/" };
const page = (name) => import("{page}/" + name);
const results = {};

const { place, note, summary, interval } = await page("js/pitch.js");
results.places = [60, 245, 1000, 30, 5000].map(place);
results.notes = [440, 261.6, 97, 233.1].map(note);
results.summary = summary([0, null, 100, 110, 120, 130, 140, 0]);
results.interval = interval([100, null, 200, 0, 220, 110], [200, 300, 400, 500, 440.1, 220]);
results.no_interval = interval([100, null], [null, 100]);
results.unvoiced = summary([0, 0, null, 100]);

const { track } = await page("js/estimate.js");
const tone = (hz, seconds) => Float32Array.from({ length: 8000 * seconds }, (_, i) => {
  let sum = 0;
  for (let k = 1; k <= 6 && k * hz < 3600; k++) sum += Math.sin((2 * Math.PI * k * hz * i) / 8000) / k;
  return 0.2 * sum;
});
results.tracked = [82, 147, 220, 330, 523, 784].map((hz) => [hz, summary(track(tone(hz, 1))).median_hz]);
let state = 1;
const noise = Float32Array.from({ length: 8000 }, () => ((state = (state * 16807) % 2147483647) / 2147483647 - 0.5));
results.noise = track(noise).filter((hz) => hz > 0).length;
results.silence = track(new Float32Array(8000)).filter((hz) => hz > 0).length;

const { Sung } = await page("js/sung.js");
const told = [];
const sung = new Sung(44100, (hz) => told.push(hz));
for (let i = 0; i < 500; i++) {
  sung.add(Float32Array.from({ length: 441 }, (_, k) => {
    const time = (i * 441 + k) / 44100;
    return i < 100 ? 0 : 0.1 * Math.sin(2 * Math.PI * 196 * time) + 0.05 * Math.sin(2 * Math.PI * 392 * time);
  }));
}
results.sung = told;

const { normalised } = await page("js/mixture.js");
const shares = (pairs) => [...normalised(new Map(pairs))];
results.mixture = shares([["1", 0.6], ["2", 0.2]]);
results.nothing = shares([["1", 0], ["2", 0]]);

const { matchingGains } = await page("js/loudness.js");
const sound = { sampleRate: 8000, numberOfChannels: 1 };
const buffer = (samples) => ({ ...sound, length: samples.length, getChannelData: () => samples });
const quiet = tone(220, 1).map((sample) => sample / 4);
const halfSilent = new Float32Array(16000);
halfSilent.set(tone(220, 1));
results.gains = matchingGains(buffer(tone(220, 1)), buffer(quiet));
results.pauses = matchingGains(buffer(tone(220, 1)), buffer(halfSilent));
results.mute = matchingGains(buffer(tone(220, 1)), buffer(new Float32Array(8000)));

const { wav } = await page("js/wav.js");
const blob = wav([new Float32Array([0, 0.5, -0.5]), new Float32Array([1, -1, 2])], 48000);
results.wav = [...new Uint8Array(await blob.arrayBuffer())];

const { View } = await page("js/view.js");
const view = new View(() => {});
const shown = () => [view.start, view.end];
view.reset(100);
view.zoom(4, 20);
results.zoomed = shown();
view.pan(-50);
results.left = shown();
view.pan(500);
results.right = shown();
view.zoom(1e9, 90);
results.closest = view.end - view.start;
view.zoom(1e-9);
results.whole = shown();
view.set(10, 20);
view.keepInSight(25);
results.turned = shown();

const made = {};
globalThis.AudioWorkletProcessor = class {
  told = [];
  port = { postMessage: (message) => this.told.push(message) };
};
globalThis.registerProcessor = (name, kind) => (made[name] = kind);
globalThis.sampleRate = 48000;
await page("worklets/playback.js");
await page("worklets/capture.js");

const play = (player, count) => {
  const heard = [];
  while (heard.length < count) {
    const out = [new Float32Array(128), new Float32Array(128)];
    player.process([], [out]);
    heard.push(...out[1]);
  }
  return heard;
};
const options = { processorOptions: { block: 1024, margin: 256 } };
const player = new made.playback(options);
let sent = 0;
const ramp = (count) => Float32Array.from({ length: count }, () => ++sent);
results.before = Math.max(...play(player, 512));
player.take(ramp(1024));
const stream = [];
for (let i = 0; i < 20; i++) {
  stream.push(...play(player, 1024));
  player.take(ramp(1024));
}
results.delay = stream.findIndex((sample) => sample !== 0);
results.steady = stream.slice(2000, 2010);
results.gapless = player.gaps;
play(player, 4096);
results.gaps = player.gaps;
results.margin = player.margin;
const late = new made.playback(options);
for (let i = 0; i < 10; i++) late.take(ramp(1024));
results.waiting = late.waiting;
results.kept = late.blocks.at(-1).at(-1) === sent;
results.skipped = late.skipped;

const capture = new made.capture({ processorOptions: { blockSamples: 200 } });
for (let i = 0; i < 4; i++) capture.process([[new Float32Array(128).fill(0.5), new Float32Array(128).fill(0.1)]], []);
capture.process([[]], []);
const page_events = [];
globalThis.EventSource = class {
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 1;
  constructor(address) {
    this.address = address;
    page_events.push(this);
  }
  addEventListener(name, run) {
    this.told = (job) => run({ data: JSON.stringify(job) });
  }
  close() {
    this.readyState = 2;
  }
};
const asked = [];
globalThis.fetch = async (address) => {
  asked.push(address);
  const ids = new URL(address).searchParams.get("ids").split(",");
  const jobs = ids.filter((id) => id !== "gone").map((id) => ({ id, batch: "b", state: "done" }));
  return { ok: true, status: 200, text: async () => JSON.stringify({ jobs }) };
};
const { follow, whenJobChanges } = await page("js/follow.js");
const news = [];
whenJobChanges((job) => news.push(job.id + " " + job.state));
const queued = (id, batch) => ({ id, batch, state: "queued" });
follow([queued("a1", "a"), queued("a2", "a"), queued("b1", "b"), queued("gone", "c")]);
follow([{ id: "old", batch: "d", state: "done" }]);
page_events[0].told({ id: "a1", batch: "a", state: "done" });
const early = page_events[0].readyState;
await new Promise((done) => setTimeout(done, 1700));
page_events[0].told({ id: "a2", batch: "a", state: "failed" });
const opened = page_events.map((one) => one.address);
results.followed = { news, asked, opened, early, late: page_events[0].readyState };

results.captured = capture.told.map((block) => [block.length, block[0], block.at(-1)]);

console.log(JSON.stringify(results));
"""


def test_pitch_has_a_place_and_a_name(results):
    assert results["places"] == pytest.approx([0, 0.5, 1, 0, 1], abs=1e-3)
    assert results["notes"] == ["A4", "C4", "G2", "B♭3"]
    assert results["summary"] == {"low_hz": 100, "median_hz": 120, "high_hz": 140}
    assert results["unvoiced"] is results["no_interval"] is None
    assert results["interval"] == pytest.approx(12, abs=1e-2)


def test_pitch_of_a_recording_is_estimated(results):
    for true_hz, found_hz in results["tracked"]:
        assert found_hz == pytest.approx(true_hz, rel=0.01)
    assert results["noise"] == results["silence"] == 0


def test_pitch_of_the_microphone_is_told_each_second(results):
    assert 3 <= len(results["sung"]) <= 4 and results["sung"] == pytest.approx([196] * len(results["sung"]), rel=0.01)


def test_shares_of_a_mixture_sum_to_one(results):
    assert [share for _, share in results["mixture"]] == pytest.approx([0.75, 0.25])
    assert results["nothing"] == [["1", 0.5], ["2", 0.5]]


def test_the_louder_one_is_turned_down(results):
    assert results["gains"] == pytest.approx([0.25, 1], rel=1e-3)
    assert results["pauses"] == pytest.approx([1, 1], abs=0.02), "a pause makes nothing quieter"
    assert results["mute"] == [1, 1]


def test_recordings_are_wav_files(results):
    samples, rate_hz = soundfile.read(io.BytesIO(bytes(results["wav"])), dtype="int16")
    assert rate_hz == 48000
    np.testing.assert_array_equal(samples, [0, 16384, -16383, 32767, -32767, 32767])


def test_the_shown_part_stays_within_the_recording(results):
    assert results["zoomed"] == pytest.approx([15, 40]), "second 20 stays at a fifth of the width"
    assert results["left"] == pytest.approx([0, 25]) and results["right"] == pytest.approx([75, 100])
    assert results["closest"] == pytest.approx(0.25)
    assert results["whole"] == pytest.approx([0, 100])
    assert results["turned"] == pytest.approx([24.5, 34.5])


def test_the_jitter_buffer_plays_in_order_after_its_margin(results):
    assert results["before"] == 0
    assert results["delay"] == 256
    first = results["steady"][0]
    assert results["steady"] == [first + i for i in range(10)] and first == 2000 - 256 + 1
    assert results["gapless"] == 0


def test_a_gap_widens_the_margin_and_a_backlog_is_dropped(results):
    assert results["gaps"] == 1 and results["margin"] == 384
    assert results["waiting"] <= 2 * (1024 + 256) and results["kept"]
    assert results["waiting"] + results["skipped"] == 10 * 1024


def test_captured_samples_are_mono_blocks(results):
    assert results["captured"] == [[200, pytest.approx(0.3), pytest.approx(0.3)]] * 2


def test_one_connection_follows_a_batch_and_other_jobs_are_asked_for(results):
    followed = results["followed"]
    assert followed["opened"] == ["http://127.0.0.1/api/v1/batches/a/events"]
    assert followed["asked"] == ["http://127.0.0.1/api/v1/jobs?ids=b1,gone"]
    assert followed["news"] == ["a1 done", "b1 done", "a2 failed"]
    assert (followed["early"], followed["late"]) == (1, 2), "closed when the batch is over, and not before"
