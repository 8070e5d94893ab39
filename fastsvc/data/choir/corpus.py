"""Filling a folder with songs: choir.json, and a wav and a json for every singer and song."""

from __future__ import annotations

import io
import json
import os
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from fastsvc import arguments, files, reading, screen
from fastsvc.children import Pool
from fastsvc.data.choir.performance import perform
from fastsvc.data.choir.score import score
from fastsvc.data.choir.singer import Singer
from fastsvc.data.choir.synthesis import render
from fastsvc.errors import ConfigError, OutputError

FORMAT = 1
RATE_HZ = 24000


def song_name(index: int) -> str:
    return f"song{index:03d}"


def key_of(singer: Singer, song: int, seed: int) -> float:
    """Whole semitones, -3..3, by which a singer moves a song from the natural pitch."""
    return float(np.random.default_rng([seed, 505, song, singer.tract.seed]).integers(-3, 4))


def _songs_for(minutes: float, singers: int, seed: int) -> int:
    """How many songs fill the minutes if every singer sings each."""
    remaining_s, count = 60.0 * minutes / singers, 0
    while remaining_s > 0:
        remaining_s -= score(count, seed).seconds
        count += 1
    return count


def _render_song(out: Path, singer: Singer, song: int, seed: int) -> float:
    """One song of one singer into its two files; the wav comes last and marks the song as finished."""
    import soundfile

    key = key_of(singer, song, seed)
    performance = perform(score(song, seed), singer, key)
    audio = render(singer, performance, RATE_HZ)
    base = out / singer.name / song_name(song)
    files.write_json(base.with_suffix(".json"), performance.to_dict(), indent=None)
    wav = io.BytesIO()
    soundfile.write(wav, audio, RATE_HZ, subtype="PCM_16", format="WAV")
    files.write_bytes(base.with_suffix(".wav"), wav.getbuffer())
    return performance.seconds


def _plain(singer: Singer) -> dict:
    return json.loads(json.dumps(singer.to_dict()))


def _merge(out: Path, singers: list[Singer], songs: int, seed: int) -> dict:
    """The new content of choir.json. Raises ConfigError where it contradicts the choir that OUT already holds."""
    path, remedy = out / "choir.json", "choose another folder, or the settings it was made with"
    description = {"singers": [], "songs": []}
    if path.exists():
        try:
            description = reading.read_json(path, 64 * 2**20)
            stored_seed, stored_format = description["seed"], description["format"]
            stored_singers = {singer["name"]: singer for singer in description["singers"]}
            stored_songs = len(description["songs"])
        except (ConfigError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is not a choir's description: {error}", remedy) from error
        if stored_format != FORMAT:
            raise ConfigError(f"{out} has format {stored_format}, this version writes {FORMAT}", remedy)
        if stored_seed != seed:
            raise ConfigError(f"{out} was made with seed {stored_seed}, not {seed}", remedy)
        for singer in singers:
            if stored_singers.get(singer.name, _plain(singer)) != _plain(singer):
                raise ConfigError(f"In {out} the singer {singer.name} has other settings", remedy)
    elif out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: no songs can be written there", "choose an empty or new folder")
    elif not files.free_or_ours(out):
        raise ConfigError(f"{out} is not empty and holds no choir.json", "choose an empty or new folder")
    else:
        stored_singers, stored_songs = {}, 0
    all_singers = list({**stored_singers, **{singer.name: _plain(singer) for singer in singers}}.values())
    names = [song_name(index) for index in range(max(songs, stored_songs))]
    return {"format": FORMAT, "seed": seed, "rate_hz": RATE_HZ, "singers": all_singers, "songs": names}


def fill(out, singers: list[Singer], minutes: float, seed: int, jobs: int | None = None, progress: bool = True) -> dict:
    """Let every singer sing the same songs, each in an own key, until there are ``minutes`` in all.

    Finished songs in OUT are kept, so an interrupted run resumes, and more minutes or singers of the same seed can be
    added later. Returns the content of choir.json. Raises ConfigError if OUT holds another choir (another seed, or
    singers of the same names with other settings), OutputError if it cannot be written.
    """
    out, seed = arguments.path("out", out), arguments.seed(seed)
    minutes = arguments.number("minutes", minutes, *arguments.MINUTES, above=True)
    jobs = arguments.optional(arguments.whole_number, "jobs", jobs, *arguments.JOBS)
    arguments.flag("progress", progress)
    if not singers:
        raise ConfigError("the choir has no singers", "ask for at least one singer")
    if len({singer.name for singer in singers}) != len(singers):
        raise ConfigError("Two singers have the same name", "name each singer differently")
    songs = _songs_for(minutes, len(singers), seed)
    _merge(out, singers, songs, seed)  # its checks come before a lock file is written to OUT
    with files.folder_lock(out, "filling it with songs"):
        return _fill(out, singers, songs, seed, jobs, progress)


def _fill(out: Path, singers: list[Singer], songs: int, seed: int, jobs: int | None, progress: bool) -> dict:
    description = _merge(out, singers, songs, seed)
    files.clear_leftovers(out, deep=True)
    files.write_json(out / "choir.json", description)
    tasks = [
        (out, singer, song, seed)
        for song in range(songs)
        for singer in singers
        if not (out / singer.name / f"{song_name(song)}.wav").exists()
    ]
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(tasks) or 1))
    total = songs * len(singers)
    with screen.bar(total=total, initial=total - len(tasks), unit="song", desc="choir", disable=not progress) as bar:
        if jobs == 1:
            for task in tasks:
                _render_song(*task)
                bar.update()
        else:
            _fill_in_parallel(tasks, jobs, bar)
    # An earlier, interrupted run may have listed songs that were never rendered.
    description["songs"] = sorted({path.stem for path in out.glob("*/song*.wav")})
    files.write_json(out / "choir.json", description)
    return description


def _fill_in_parallel(tasks, jobs: int, bar) -> None:
    with Pool(jobs) as pool:
        futures = [pool.submit(_render_song, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
