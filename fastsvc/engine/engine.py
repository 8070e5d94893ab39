"""An opened engine: recordings in, recordings out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.artifact import folder as artifact
from fastsvc.artifact.content_hash import content_hash
from fastsvc.audio import highpass
from fastsvc.config import AcousticConfig
from fastsvc.engine import backends, checks, hearing, pitch_notes, ranges, warming
from fastsvc.engine.conversion import Heard, Place, between, joined, told
from fastsvc.engine.cpu import sampler as runtime
from fastsvc.engine.level import Level
from fastsvc.engine.parts import Model
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import AudioError

# For the progress bar alone: hearing's share of a conversion, and the mel's of what follows.
HEARD, SAMPLED = 0.3, 0.4


class Engine:
    """One engine folder, loaded on one device. Calls from several threads wait for each other.

    ``timings`` holds the seconds that each stage of the last call took: features, mel, vocoder (a GPU still works on
    the mel when the vocoder's begin); ``transposed`` the semitones of the last :meth:`convert`, which "auto" leaves to
    the engine, and ``notes`` what its user should know of how it was heard. ``device``, ``precision`` and ``how`` say
    where and how it computes. ``content_hash``: the same for every build of the same voices with the same settings.
    """

    def __init__(
        self, folder: artifact.Artifact, device: str = "cpu", precision: str = "auto", vocoder_backend: str = "auto"
    ):
        model = Model.of(folder)
        manifest, vocoder = folder.manifest, folder.manifest.vocoder
        self.config: AcousticConfig = model.acoustic
        self.table = model.speakers or Speakers.of(manifest)
        parts = backends.BACKENDS[device](model, precision, vocoder_backend)
        self.path, self.manifest = folder.path, manifest
        self.device, self.precision, self.how = parts.device, parts.precision, parts.how
        self.sampler, self.synthesiser, self.encoder = parts.sampler, parts.synthesiser, parts.encoder
        self.yin = parts.yin
        self.sources_everywhere = bool(vocoder) and vocoder.unvoiced_f0 == "interpolated"
        self.content_hash = content_hash(folder.stated)
        self.timings: dict[str, float] = {}
        self.transposed = 0.0
        self.notes: tuple[str, ...] = ()
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path, device: str = "auto", precision: str = "auto", vocoder_backend: str = "auto") -> Engine:
        """Load an engine folder. device: auto (see backends.choose), cpu or cuda. precision: of the GPU's arithmetic,
        auto (as built), fp32, fp16 or bf16; a CPU computes as the engine was built. vocoder_backend: auto (the
        fastest, as measured), or one of fastsvc.config.VOCODER_BACKENDS.

        Raises ConfigError for words that are none of these, EngineError when the folder is missing, damaged or cannot
        run on the device.
        """
        path = arguments.path("path", path)
        checks.opening(precision, vocoder_backend)
        arguments.one_of("device", device, backends.DEVICES)
        return cls(artifact.Artifact(path), backends.choose(device), precision, vocoder_backend)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names, in the order of their ids, which count from ``manifest.speaker_base``."""
        return self.table.names

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of sampling steps that were built in."""
        return tuple(sorted(self.sampler.schedules))

    @property
    def default_steps(self) -> int:
        """The number of steps that is taken where none is asked for."""
        return self.manifest.default_steps

    @property
    def shares_batches(self) -> bool:
        """Whether several recordings together take less time in :meth:`sing` than one after another."""
        return self.sampler.shares_batches

    @property
    def rate_hz(self) -> int:
        """The rate of the model's own audio."""
        return self.config.mel.rate_hz

    @torch.inference_mode()
    def convert(
        self,
        audio,
        rate_hz: int,
        speaker,
        *,
        steps: int | None = None,
        transpose=0,
        formant: float = 0.0,
        seed: int = 0,
        f0_method: str | None = None,
        f0_weights=None,
        f0_range: tuple[float, float] | None = None,
        rate_out_hz: int | None = None,
        normalise: bool | None = None,
        high_pass: bool = True,
        rms_mix_rate: float = arguments.DEFAULT_RMS_MIX_RATE,
        progress: runtime.Progress | None = None,
    ) -> tuple[np.ndarray, int]:
        """Sing a recording with another voice.

        audio [samples] or [channels, samples] (mixed to one: fastsvc/audio/channels.py), float in −1 … 1, at rate_hz.
        speaker: a name, an id, or a mapping of those to weights. steps: one of :attr:`steps`, None for
        :attr:`default_steps`. transpose: semitones, or "auto": from the voiced median of the recording to the
        speaker's, rounded to whole semitones.
        formant: semitones by which the voice's resonances move, where the model has a key-shift embedding. f0_method:
        as fastsvc.features.f0.extract, None for the model's own; f0_weights: the file of rmvpe. f0_range: the lowest
        and the highest pitch that are heard, in Hz; None for 40 to 2100 and all that the model was trained on.
        rate_out_hz: None for the input's rate.
        normalise: bring the input to the peak that the training data had, and undo it afterwards; None: if training
        did. high_pass: take away what lies below every voice first (fastsvc/audio/highpass.py), and leave mains hum in
        rests unvoiced. rms_mix_rate: 0 gives the result the recording's loudness over time, 1 leaves it the model's
        own, untouched (engine/level.py). progress gets the fraction done.
        Returns (float32 [samples], rate): at the input's rate, exactly as many samples as the input.
        Raises AudioError, SpeakerError, ConfigError, EngineError.
        """
        rate_hz, rate_out_hz = checks.rates(rate_hz, rate_out_hz)
        how = checks.how(transpose, f0_method, f0_weights, normalise, high_pass, f0_range, rms_mix_rate)
        formant, seed = checks.formant(self, formant), arguments.seed(seed)
        asked = {"steps": checks.steps(self, steps), "formant": formant, "seed": seed}
        progress = arguments.optional(arguments.callback, "progress", progress)
        self.check_request(speaker, transpose, formant, f0_range)
        self.check_convertible()
        audio, note = hearing.mono(audio, rate_hz)
        if len(audio) == 0:
            return audio, rate_out_hz
        with self._lock:
            heard = self.hear(audio, rate_hz, speaker, rate_out_hz=rate_out_hz, **how)
            self.transposed, spent = heard.semitones, self.timings
            self.notes = (note, *heard.notes) if note else heard.notes
            if progress:
                progress(HEARD)
            (made,) = self.sing([heard], speaker, **asked, progress=between(progress, HEARD, 1.0))
            self.timings = {**spent, **self.timings}
        place = heard.place
        del heard  # of an hour, its features are as much as the recording
        return self.join(made, *place), rate_out_hz

    @torch.inference_mode()
    def hear(
        self,
        audio,
        rate_hz: int,
        speaker,
        *,
        transpose=0,
        f0_method: str | None = None,
        f0_weights=None,
        f0_range: tuple[float, float] | None = None,
        rate_out_hz: int | None = None,
        normalise: bool | None = None,
        high_pass: bool = True,
        rms_mix_rate: float = arguments.DEFAULT_RMS_MIX_RATE,
    ) -> Heard:
        """The first part of :meth:`convert`: what is sung, its melody moved to ``speaker``. The rest is :meth:`sing`
        and :meth:`join`, between which recordings may be put together. Raises as convert does."""
        rate_hz, rate_out_hz = checks.rates(rate_hz, rate_out_hz)
        checks.how(transpose, f0_method, f0_weights, normalise, high_pass, rms_mix_rate=rms_mix_rate)
        f0_range = checks.f0_range(self, f0_range)
        self.check_convertible()
        target_hz = self.table.median_f0_hz(self.table.weights(speaker))
        whole, note = hearing.mono(audio, rate_hz)
        if len(whole) == 0:
            raise AudioError("the recording holds no samples", "record or export it again")
        whole = highpass.high_passed(whole, rate_hz) if high_pass else whole
        peak = self.manifest.input_peak
        if normalise is not None:
            peak = (peak or 0.95) if normalise else None
        level = Level.of(whole, rate_hz, rms_mix_rate)
        whole, gain = hearing.levelled(whole, peak, rate_hz)
        with self._lock:
            start = time.perf_counter()
            given = self.config, self.encoder, f0_method, f0_weights, self.device, self.yin
            features = hearing.features(whole, rate_hz, *given, f0_range, gate_hum=high_pass)
            self.timings = {"features": time.perf_counter() - start}
        semitones = hearing.shift_semitones(transpose, features.f0_hz, features.voiced, target_hz)
        features.f0_hz.mul_(2 ** (semitones / 12))
        place = Place(len(whole), rate_hz, rate_out_hz, 1 / gain, level)
        notes = pitch_notes.notes(features, semitones, self.config)
        return Heard(features, semitones, place, (note, *notes) if note else notes)

    @torch.inference_mode()
    def sing(
        self,
        heard: Sequence[Heard],
        speaker,
        *,
        steps: int | None = None,
        formant: float = 0.0,
        seed: int = 0,
        progress: runtime.Progress | None = None,
    ) -> list[np.ndarray]:
        """What was heard, with another voice: audio [T·hop] at :attr:`rate_hz` of each recording.

        On a GPU slices of all of them share the denoiser's batches, and the audio of one travels while that of the
        next is made. Each gets what it would get alone, to rounding.
        """
        steps, seed, formant = checks.steps(self, steps), arguments.seed(seed), checks.formant(self, formant)
        vector = self.sampler.condition.speaker(self.table.weights(speaker), formant)
        features = [one.features for one in heard]

        def sample(progress) -> list[Tensor]:
            return self.sampler.many(features, vector, steps, [seed] * len(features), progress)

        with self._lock:
            return [audio.numpy() for audio in self._sung(features, seed, sample, progress)[0]]

    def join(
        self, made: np.ndarray, samples: int, rate_hz: int, rate_out_hz: int, gain: float, level=None
    ) -> np.ndarray:
        """Audio at :attr:`rate_hz` → the length of ``samples`` at rate_hz, at rate_out_hz, times ``gain``, with the
        loudness over time of a :class:`Level`. The last part of :meth:`convert`, after :meth:`sing`; nothing of the
        engine is in use meanwhile.
        """
        return joined(made, self.rate_hz, Place(samples, rate_hz, rate_out_hz, gain, level))

    @torch.inference_mode()
    def synthesise(
        self,
        units,
        f0_hz,
        volume,
        speaker,
        steps: int | None = None,
        noise=None,
        seed: int = 0,
        *,
        voiced=None,
        formant: float = 0.0,
        mel=None,
    ) -> tuple[Tensor | None, Tensor]:
        """Features → (audio [T·hop] at :attr:`rate_hz`, or None without a vocoder; log-mel [T, M]).

        units [Tu, D] at the encoder's rate or [T, D]; f0_hz [T] (interpolated through unvoiced frames, or 0 there);
        volume [T]: RMS; voiced [T], by default where f0_hz > 0. noise: the draws [T, M] of each step; None makes them
        from ``seed``. mel: log-mel [T, M] to refine, which engines of shallow diffusion need and others do not take.
        """
        features = told(self, units, f0_hz, volume, voiced)
        steps, seed, formant = checks.steps(self, steps), arguments.seed(seed), checks.formant(self, formant)
        mel = checks.mel(self, mel, len(features.f0_hz))
        vector = self.sampler.condition.speaker(self.table.weights(speaker), formant)
        noise = checks.noise(self, noise, len(features.f0_hz), steps)
        draw = runtime.seeded(seed, self.config.mel.bins) if noise is None else runtime.given(noise)

        def sample(progress) -> list[Tensor]:
            return [self.sampler(features, vector, steps, draw, progress=progress, mel=mel)]

        with self._lock:
            audio, made = self._sung([features], seed, sample)
        audio, mel = audio[0] if audio else None, made[0].cpu()
        checks.finite(mel.numpy(), None if audio is None else audio.numpy())
        return audio, mel

    def _sung(self, heard: Sequence[runtime.Features], seed: int, sample, progress=None) -> tuple[list, list]:
        """(audio of each recording, none without a vocoder; the mels that ``sample(progress)`` made of them)."""
        start = time.perf_counter()
        with ranges.stage("mel"):
            mels = sample(between(progress, 0.0, SAMPLED))
        sampled, begun = time.perf_counter(), []
        for i, (mel, features) in enumerate(zip(mels, heard, strict=True) if self.synthesiser else ()):
            f0_hz = features.f0_hz if self.sources_everywhere else features.f0_hz * features.voiced
            one = between(between(progress, SAMPLED, 1.0), i / len(heard), (i + 1) / len(heard))
            begun.append(self.synthesiser.begin(mel, f0_hz, seed, progress=one))
        audio = [finish() for finish in begun]
        self.timings = {"mel": sampled - start, "vocoder": time.perf_counter() - sampled}
        return audio, mels

    def check_request(self, speaker, transpose=0, formant: float = 0.0, f0_range=None) -> None:
        """Raises what :meth:`convert` would for these, before any recording is read."""
        weights = self.table.weights(speaker)
        checks.formant(self, formant)
        checks.f0_range(self, f0_range)
        if arguments.transpose(transpose) == "auto":
            hearing.known_pitch(self.table.median_f0_hz(weights))

    def check_convertible(self) -> None:
        """Raises EngineError, saying what to build, if this engine lacks a part that :meth:`convert` needs."""
        checks.convertible(self)

    def warm_up(
        self,
        seconds: float = 1.0,
        *,
        groups: Sequence[Sequence[int]] | str | None = None,
        steps: Iterable[int] | None = None,
        progress: runtime.Progress | None = None,
    ) -> int:
        """Do the work once on noise, so that the first real call finds memory and libraries ready.

        A GPU may instead make its graphs beforehand, the largest first, for these numbers of ``steps`` (None: the
        default one): with ``groups`` "all" those of every prepared shape, else those for recordings of so many frames,
        each inner list being sung together ([[T, …], …]). ``progress`` gets the fraction done.
        Returns how many graphs there are then.
        """
        seconds, groups = arguments.number("seconds", seconds, *checks.WARM_UP_S), checks.groups(groups)
        wanted = (None,) if steps is None else arguments.several(arguments.whole, "steps", steps)
        steps = [checks.steps(self, one) for one in wanted]
        if groups is None or not self.shares_batches:
            warming.noise(self, seconds)
            return 0
        with self._lock:
            return warming.graphs(self, None if isinstance(groups, str) else groups, steps, progress)
