"""An opened engine: recordings in, recordings out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.artifact.content_hash import content_hash
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.config import AcousticConfig
from fastsvc.engine import backends, checks, hearing, singing, warming
from fastsvc.engine.conversion import Heard, Place, Ready, between, joined, mixed, told
from fastsvc.engine.cpu import sampler as runtime
from fastsvc.engine.parts import Model
from fastsvc.engine.request import Request
from fastsvc.engine.speakers import Speakers

HEARD = 0.3  # for the progress bar alone: hearing's share of a conversion


class Engine:
    """One engine folder, loaded on one device. Calls from several threads wait for each other.

    ``timings`` holds the seconds that each stage of the last call took: features, mel, vocoder (a GPU still works on
    the mel when the vocoder's begin); ``transposed`` the semitones of the last :meth:`convert`, which "auto" leaves to
    the engine, and ``notes`` what its user should know of how it was heard. ``device``, ``precision`` and ``how`` say
    where and how it computes. ``content_hash``: the same for every build of the same voices with the same settings.
    """

    def __init__(self, folder: Artifact, device: str = "cpu", precision: str = "auto", vocoder_backend: str = "auto"):
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
        self.content_hash = content_hash(folder.raw_manifest)
        self.timings: dict[str, float] = {}
        self.transposed = 0.0
        self.notes: tuple[str, ...] = ()
        self.lock = threading.RLock()

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
        return cls(Artifact(path), backends.choose(device), precision, vocoder_backend)

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
        rate_hz = arguments.rate_hz(rate_hz)
        request = Request(
            speaker,
            steps=steps,
            transpose=transpose,
            formant=formant,
            seed=seed,
            f0_method=f0_method,
            f0_weights=f0_weights,
            f0_range=f0_range,
            rate_out_hz=rate_hz if rate_out_hz is None else rate_out_hz,
            normalise=normalise,
            high_pass=high_pass,
            rms_mix_rate=rms_mix_rate,
        )
        progress = arguments.optional(arguments.callback, "progress", progress)
        self.check_request(request)
        self.check_convertible()
        audio, note = hearing.mono(audio, rate_hz)
        if len(audio) == 0:
            return audio, request.rate_out_hz or rate_hz
        with self.lock:
            heard = self._heard(audio, note, rate_hz, request)
            self.transposed, self.notes, spent = heard.semitones, heard.notes, self.timings
            if progress:
                progress(HEARD)
            (made,) = self.sing([heard], request, progress=between(progress, HEARD, 1.0))
            self.timings = {**spent, **self.timings}
        place = heard.place
        del heard  # of an hour, its features are as much as the recording
        return self.join(made, *place), place.rate_out_hz

    @torch.inference_mode()
    def hear(self, audio, rate_hz: int, request: Request) -> Heard:
        """The first part of :meth:`convert`: what is sung, its melody moved to the voice. The rest is :meth:`sing`
        and :meth:`join`, between which recordings may be put together. Raises as convert does."""
        rate_hz = arguments.rate_hz(rate_hz)
        request.range_of(self)
        self.check_convertible()
        request.target_hz(self)
        return self._heard(*mixed(audio, rate_hz), rate_hz, request)

    def _heard(self, whole: np.ndarray, note: str, rate_hz: int, request: Request) -> Heard:
        ready = Ready.of(self, whole, note, rate_hz, request)
        with self.lock:
            start = time.perf_counter()
            features = ready.features(self, request)
            self.timings = {"features": time.perf_counter() - start}
        return ready.heard(self, request, features)

    @torch.inference_mode()
    def sing(
        self, heard: Sequence[Heard], request: Request, *, progress: runtime.Progress | None = None
    ) -> list[np.ndarray]:
        """What was heard, with another voice: audio [T·hop] at :attr:`rate_hz` of each recording.

        On a GPU slices of all of them share the denoiser's batches, and the audio of one travels while that of the
        next is made. Each gets what it would get alone, to rounding.
        """
        return singing.sung(self, [one.features for one in heard], request, progress)

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
        request = Request(speaker, steps=steps, formant=formant, seed=seed)
        return singing.synthesised(self, features, request, noise, mel)

    def check_request(self, request: Request) -> None:
        """Raises what :meth:`convert` would for it, before any recording is read."""
        request.check(self)

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
        return warming.warm_up(self, seconds, groups, steps, progress)
