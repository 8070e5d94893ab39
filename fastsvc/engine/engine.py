"""An opened engine: recordings in, recordings out."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.artifact.content_hash import content_hash
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.config import AnyAcousticConfig
from fastsvc.engine import backends, checks, closing, conversion, devices, file_conversion, synthesis, warming
from fastsvc.engine.conversion import OutputSpec, RecordingFeatures, progress_between
from fastsvc.engine.cpu.sampler import Progress
from fastsvc.engine.fronts import front_for
from fastsvc.engine.parts import Model
from fastsvc.engine.request import Request
from fastsvc.engine.speakers import Speakers
from fastsvc.engine.streaming import Streaming

EXTRACTION_SHARE = 0.3  # for the progress bar alone: the features' share of a conversion


class Engine(Streaming):
    """One engine folder, loaded on one device. Calls from several threads wait for each other.

    ``timings`` holds the seconds that each stage of the last call took: features, mel, vocoder (a GPU still works on
    the mel when the vocoder's begin). ``transposed`` holds the semitones of the last :meth:`convert`, which "auto"
    leaves to the engine; ``notes`` holds lines about its features. ``device``, ``precision``, ``how`` and ``rounded``
    (on a CPU, the parts in bfloat16) say where and how it computes. ``content_hash``: of the voices and settings.
    """

    def __init__(self, folder: Artifact, device: str = "cpu", precision: str = "auto", vocoder_backend: str = "auto"):
        model = Model.of(folder)
        manifest, vocoder = folder.manifest, folder.manifest.vocoder
        self.config: AnyAcousticConfig = model.acoustic
        self.table = model.speakers or Speakers.of(manifest)
        parts = backends.opened(device, model, precision, vocoder_backend)
        self.path, self.manifest = folder.path, manifest
        self.device, self.precision, self.how = parts.device, parts.precision, parts.how
        self.rounded, self._reopened = parts.rounded, lambda: Engine(folder, device, "built", vocoder_backend)
        self.sampler, self.synthesiser, self.encoder = parts.sampler, parts.synthesiser, parts.encoder
        self.yin, self.index = parts.yin, parts.retrieval
        self.front, self.device_front, self.device_join = front_for(self.config), parts.front, parts.join
        self.resample = parts.resample
        self.sources_everywhere = bool(vocoder) and vocoder.unvoiced_f0 == "interpolated"
        self.content_hash = content_hash(folder.raw_manifest)
        self.timings: dict[str, float] = {}
        self.transposed = 0.0
        self.notes: tuple[str, ...] = ()
        self.lock = threading.RLock()

    @classmethod
    def open(cls, path, device: str = "auto", precision: str = "auto", vocoder_backend: str = "auto") -> Engine:
        """Load an engine folder. device: auto (see backends.choose), cpu, cuda, cuda:1 or a torch.device. precision: of
        the arithmetic, built (as the engine is), fp32, fp16, bf16 or auto: on a GPU built, on a CPU as measured
        (cpu/precision.py), or what $FASTSVC_PRECISION names. vocoder_backend: auto (the fastest, as measured), or one
        of config.VOCODER_BACKENDS. Raises ConfigError for words that are none of these, EngineError when the folder is
        missing, damaged or cannot run on the device.
        """
        path = arguments.path("path", path)
        checks.opening(precision, vocoder_backend)
        devices.parse(device)
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
        """The number of sampling steps where the request names none."""
        return self.manifest.default_steps

    @property
    def shares_batches(self) -> bool:
        """Whether :meth:`synthesise_many` takes less time for several recordings than for one after another."""
        return self.sampler.shares_batches

    @property
    def rate_hz(self) -> int:
        """The rate of the model's own audio."""
        return self.config.mel.rate_hz

    @torch.inference_mode()
    def convert(
        self,
        audio,
        rate_hz: int | None = None,
        speaker=None,
        *,
        steps: int | None = None,
        transpose=0,
        formant: float = 0.0,
        seed: int = 0,
        noise_scale: float = arguments.DEFAULT_NOISE_SCALE,
        f0_method: str | None = None,
        f0_weights=None,
        f0_range: tuple[float, float] | None = None,
        rate_out_hz: int | None = None,
        normalise: bool | None = None,
        high_pass: bool = True,
        rms_mix_rate: float = arguments.DEFAULT_RMS_MIX_RATE,
        index_rate: float | None = None,
        protect: float | None = None,
        index_search: str | None = None,
        unvoiced: str | None = None,
        f0_fill: str = "interpolate",
        resampler: str = "long",
        progress: Progress | None = None,
    ) -> tuple[np.ndarray, int]:
        """Convert a recording to another voice.

        audio [samples], [channels, samples] or [samples, channels] (mixed to one: fastsvc/audio/channels.py) at
        rate_hz, float in −1 … 1 or int16, int32, uint8; or the path of a file, without rate_hz. speaker: a name, an id,
        a mixture "A:0.7,B:0.3" or a mapping of names and ids to weights; None: the only voice. steps: one of
        :attr:`steps`, None for :attr:`default_steps`. transpose: semitones; "auto": from the voiced median of the
        recording to the speaker's, in whole semitones; "octaves": in whole octaves. formant: semitones by which the
        voice's resonances move, where the model has a key-shift embedding. noise_scale: the standard deviation of the
        sampler's draws from ``seed``, 0 … 1; at 0 the seed does not matter to the mel. RVC's voices draw with that
        share of RVC's own 0.66666. f0_method: as fastsvc.features.f0.extract, None for the model's own; f0_weights: the
        file of rmvpe. f0_range: the lowest and the highest pitch that is tracked, in Hz; None for 40 to 2100 and the
        model's whole training range. rate_out_hz: None for the input's.
        normalise: bring the input to the peak that the training data had, and undo it afterwards; None: if training
        did. high_pass: remove frequencies below every voice first (fastsvc/audio/highpass.py), and leave mains hum in
        rests unvoiced. rms_mix_rate: 0 gives the output the recording's loudness over time, 1 leaves it the model's
        own (engine/level.py). progress gets the fraction done.
        index_rate, protect, index_search ("exact", "nprobe") and unvoiced ("zero", "interpolated"): of RVC's voices
        (docs/voices.md), None for the engine's own. f0_fill "hold", resampler "short": as a stream (docs/live.md).
        Returns (float32 [samples], rate): at the input's rate, exactly as many samples as the input.
        Raises AudioError, SpeakerError, ConfigError, EngineError.
        """
        request = Request(
            speaker,
            steps=steps,
            transpose=transpose,
            formant=formant,
            seed=seed,
            noise_scale=noise_scale,
            f0_method=f0_method,
            f0_weights=f0_weights,
            f0_range=f0_range,
            rate_out_hz=rate_out_hz,
            normalise=normalise,
            high_pass=high_pass,
            rms_mix_rate=rms_mix_rate,
            index_rate=index_rate,
            protect=protect,
            index_search=index_search,
            unvoiced=unvoiced,
            f0_fill=f0_fill,
            resampler=resampler,
        )
        progress = arguments.optional(arguments.callback, "progress", progress)
        self.check_request(request)
        self.check_convertible()
        audio, note, rate_hz = file_conversion.recording(audio, rate_hz)
        if len(audio) == 0:
            return audio, request.rate_out_hz or rate_hz
        with self.lock:
            recording, timings = conversion.begun(self, audio, note, rate_hz, request), self.timings
            if progress:
                progress(EXTRACTION_SHARE)
            synthesis_progress = progress_between(progress, EXTRACTION_SHARE, 1.0)
            to_host = self.device_join is None or len(audio) > self.device_join.most_samples
            (output,) = synthesis.audio_of(self, [recording], request, synthesis_progress, to_host)
            known, self.timings = recording.settled(), {**timings, **self.timings}
            self.transposed, self.notes, spec = known.semitones, known.notes, known.output_spec
        del recording, known  # features of an hour take as much memory as the recording
        return conversion.joined(self, output, spec), spec.rate_out_hz

    @torch.inference_mode()
    def extract(self, audio, rate_hz: int, request: Request) -> RecordingFeatures:
        """The first part of :meth:`convert`: the recording's features, the melody transposed for the target voice.
        :meth:`synthesise_many`, for several recordings at once, and :meth:`join` follow. Raises as convert does."""
        rate_hz = arguments.rate_hz(rate_hz)
        request.range_of(self)
        self.check_convertible()
        request.target_hz(self)
        return conversion.extracted(self, *conversion.nonempty_mono(audio, rate_hz), rate_hz, request)

    @torch.inference_mode()
    def synthesise_many(
        self, recordings: Sequence[RecordingFeatures], request: Request, *, progress: Progress | None = None
    ) -> list[np.ndarray]:
        """Features of recordings → audio [T·hop] of each with the target voice, at :attr:`rate_hz`.

        On a GPU, slices of all recordings share the denoiser's batches, and the audio of one is copied to the host
        while the next is computed. Each recording gets what it would get alone, to rounding.
        """
        return synthesis.synthesise_many(self, recordings, request, progress)

    def join(
        self, audio: np.ndarray, samples: int, rate_hz: int, rate_out_hz: int, gain: float, level=None, quality="HQ"
    ) -> np.ndarray:
        """The last part of :meth:`convert`: audio at :attr:`rate_hz` → audio at rate_out_hz, as long as ``samples`` at
        rate_hz, times ``gain``, with the loudness over time of ``level``, a :class:`LoudnessProfile`; ``quality``: of
        the resampling.

        It does not lock the engine."""
        return conversion.joined(self, audio, OutputSpec(samples, rate_hz, rate_out_hz, gain, level, quality))

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
        noise_scale: float = arguments.DEFAULT_NOISE_SCALE,
        mel=None,
    ) -> tuple[Tensor | None, Tensor]:
        """Features → (audio [T·hop] at :attr:`rate_hz`, or None without a vocoder; log-mel [T, M]).

        units [Tu, D] at the encoder's rate or [T, D]; f0_hz [T] (interpolated through unvoiced frames, or 0 there);
        volume [T]: RMS; voiced [T], by default where f0_hz > 0. noise: the draws [T, M] of each step; None makes them
        from ``seed`` and ``noise_scale``. mel: log-mel [T, M] to refine, which engines of shallow diffusion need and
        others do not take.
        """
        features = conversion.checked_features(self, units, f0_hz, volume, voiced)
        request = Request(speaker, steps=steps, formant=formant, seed=seed, noise_scale=noise_scale)
        return synthesis.synthesise_one(self, features, request, noise, mel)

    def check_request(self, request: Request) -> None:
        """Raises what :meth:`convert` would raise for this request, before any recording is read."""
        request.check(self)

    def check_convertible(self) -> None:
        """Raises EngineError, saying what to build, if this engine lacks a part that :meth:`convert` needs."""
        checks.convertible(self)

    convert_file = file_conversion.convert_file
    warm_up = warming.warm_up
    close = closing.close
