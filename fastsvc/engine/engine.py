"""An opened engine: recordings in, recordings out."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import torch
from torch import Tensor

from fastsvc.audio import resample
from fastsvc.config import CONTENT_CONFIGS, AcousticConfig, VocoderConfig, from_dict
from fastsvc.engine import artifact, backends, hearing, ranges, runtime
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import ConfigError, EngineError
from fastsvc.features import align

# The share of each stage in the time of a conversion, for the progress bar alone.
HEARD, SAMPLED = 0.3, 0.6
MOST_FORMANT = 12  # semitones; upstream trains its key shift up to 5


class Engine:
    """One engine folder, loaded on one device. Calls from several threads wait for each other.

    ``timings`` holds the seconds that each stage of the last call took: features, mel, vocoder (a GPU still works on
    the mel when the vocoder's begin); ``transposed`` the semitones of the last :meth:`convert`, which "auto" leaves to
    the engine. ``device``, ``precision`` and ``how`` say where and how it computes.
    """

    def __init__(self, folder: artifact.Artifact, device: str = "cpu", precision: str = "auto"):
        manifest = folder.manifest
        try:
            self.config: AcousticConfig = from_dict(AcousticConfig, manifest["acoustic"], "acoustic")
            vocoder, content = manifest.get("vocoder"), manifest.get("content")
            vocoder_config = vocoder and from_dict(VocoderConfig, vocoder["config"], "vocoder")
            kind = content and content.get("kind", "recogniser")  # older engines have no other
            content_config = content and from_dict(CONTENT_CONFIGS[kind], content["config"], "content")
            self.table = Speakers.of(manifest, self.config.condition.speakers)
            model = backends.Model(folder, self.config, vocoder_config, kind, content_config)
            parts = backends.BACKENDS[device](model, precision)
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise EngineError(f"{folder.path}: the manifest is damaged: {error}", "build the engine again") from None
        self.path, self.manifest = folder.path, manifest
        self.device, self.precision, self.how = parts.device, parts.precision, parts.how
        self.sampler, self.synthesiser, self.encoder = parts.sampler, parts.synthesiser, parts.encoder
        self.yin = parts.yin
        self.sources_everywhere = bool(vocoder) and vocoder.get("unvoiced_f0") == "interpolated"
        self.timings: dict[str, float] = {}
        self.transposed = 0.0
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path, device: str = "auto", precision: str = "auto") -> Engine:
        """Load an engine folder. device: auto (see backends.choose), cpu or cuda. precision: of the GPU's arithmetic,
        auto (as built), fp32, fp16 or bf16; a CPU computes as the engine was built.

        Raises EngineError when the folder is missing, damaged or cannot run on the device.
        """
        return cls(artifact.Artifact(path), backends.choose(device), precision)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names, in the order of their ids, which count from ``manifest["speaker_base"]``."""
        return self.table.names

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of sampling steps that were built in."""
        return tuple(sorted(self.sampler.schedules))

    @property
    def default_steps(self) -> int:
        """The number of steps that is taken where none is asked for."""
        return int(self.manifest.get("default_steps", self.steps[0]))

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
        rate_out_hz: int | None = None,
        normalise: bool | None = None,
        progress: runtime.Progress | None = None,
    ) -> tuple[np.ndarray, int]:
        """Sing a recording with another voice.

        audio [samples] or [channels, samples] (mixed to one), float in −1 … 1, at rate_hz. speaker: a name, an id, or
        a mapping of those to weights. steps: one of :attr:`steps`, None for :attr:`default_steps`. transpose:
        semitones, or "auto": from the voiced median of the recording to the speaker's, rounded to whole semitones.
        formant: semitones by which the voice's resonances move, where the model has a key-shift embedding. f0_method:
        as fastsvc.features.f0.extract, None for the model's own; f0_weights: the file of rmvpe. rate_out_hz: None for
        the input's rate.
        normalise: bring the input to the peak that the training data had, and undo it afterwards; None: if training
        did. progress gets the fraction done.
        Returns (float32 [samples], rate): at the input's rate, exactly as many samples as the input.
        Raises AudioError, SpeakerError, ConfigError, EngineError.
        """
        rate_out_hz = rate_out_hz or rate_hz
        for rate in (rate_hz, rate_out_hz):
            if isinstance(rate, bool) or int(rate) != rate or not 1000 <= rate <= 1_000_000:
                raise ConfigError(f"the sample rate is {rate!r}", "give a whole number of hertz")
        weights = self.table.weights(speaker)
        steps = self._steps(steps)
        self._check_formant(formant)
        self.check_convertible()
        whole = hearing.mono(audio)
        if len(whole) == 0:
            return whole, rate_out_hz
        peak = self.manifest.get("input_peak")
        if normalise is not None:
            peak = (peak or 0.95) if normalise else None
        whole, gain = hearing.levelled(whole, peak)
        with self._lock:
            start = time.perf_counter()
            given = self.config, self.encoder, f0_method, f0_weights, self.device, self.yin
            features = hearing.features(whole, rate_hz, *given)
            spent, samples = time.perf_counter() - start, len(whole)
            del whole
            if progress:
                progress(HEARD)
            target_hz = self.table.median_f0_hz(weights)
            semitones = hearing.shift_semitones(transpose, features.f0_hz, features.voiced, target_hz)
            self.transposed = semitones
            features.f0_hz.mul_(2 ** (semitones / 12))
            vector = self.sampler.condition.speaker(weights, formant)
            result = self._synthesise(features, vector, steps, seed, None, progress)[0].numpy()
            self.timings["features"] = spent
        del features  # they and the input at the training's level: half of what an hour takes
        return self.join(result, samples, rate_hz, rate_out_hz, 1 / gain), rate_out_hz

    def join(self, made: np.ndarray, samples: int, rate_hz: int, rate_out_hz: int, gain: float) -> np.ndarray:
        """Audio at :attr:`rate_hz` → the length of ``samples`` at rate_hz, at rate_out_hz, times ``gain``."""
        length = resample.resampled_length(samples, rate_hz, rate_out_hz)
        made = made[: math.ceil(samples * self.rate_hz / rate_hz)]
        if self.rate_hz != rate_out_hz:
            made = resample.resample(made, self.rate_hz, rate_out_hz)
        return _fit(made, length, gain)

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
        f0_hz, volume = (torch.as_tensor(v, dtype=torch.float32) for v in (f0_hz, volume))
        units = torch.as_tensor(units)
        voiced = f0_hz > 0 if voiced is None else torch.as_tensor(voiced, dtype=torch.bool)
        frames, channels = len(f0_hz), self.config.condition.unit_channels
        if f0_hz.dim() != 1 or volume.shape != f0_hz.shape or voiced.shape != f0_hz.shape or frames == 0:
            raise ConfigError("f0_hz, volume and voiced must be of one shape [T], T ≥ 1", "cut them to one length")
        if units.dim() != 2 or units.shape[1] != channels or len(units) == 0:
            raise ConfigError(f"units have shape {tuple(units.shape)}", f"[Tu, {channels}] is needed")
        steps = self._steps(steps)
        self._check_formant(formant)
        mel = self._given_mel(mel, frames)
        how, ratio = self.config.features.unit_align, None
        if len(units) != frames:
            ratio = hearing.units_per_frame(self.config, self.encoder)
            units = align.align(units, frames, how, ratio=ratio) if how == "average" else units
        places = align.indices(len(units), frames, "nearest" if how == "average" else how, ratio=ratio)
        features = runtime.Features(units, places, f0_hz, voiced, volume)
        vector = self.sampler.condition.speaker(self.table.weights(speaker), formant)
        with self._lock:
            audio, made = self._synthesise(features, vector, steps, seed, noise, None, mel)
        return audio, made.cpu()

    def warm_up(self, seconds: float = 1.0) -> None:
        """Do the work once on noise, so that the first real call finds memory and libraries ready."""
        if self.encoder is not None and self.synthesiser is not None and self.sampler.depth is None:
            generator = np.random.default_rng(0)
            audio = generator.standard_normal(int(seconds * self.rate_hz)).astype(np.float32) * 0.01
            self.convert(audio, self.rate_hz, self.table.base)
            return
        frames = max(1, int(seconds * self.config.mel.frame_rate_hz))
        units = torch.zeros(frames, self.config.condition.unit_channels)
        mel = None if self.sampler.depth is None else torch.full((frames, self.config.mel.bins), -5.0)
        self.synthesise(units, torch.full((frames,), 200.0), torch.zeros(frames), self.table.base, mel=mel)

    def _synthesise(self, features, vector, steps, seed, noise, progress, mel=None) -> tuple[Tensor | None, Tensor]:
        start = time.perf_counter()
        draw = runtime.seeded(seed, self.config.mel.bins) if noise is None else runtime.given(noise)
        between = _between(progress, HEARD, SAMPLED)
        with ranges.stage("mel"):
            mel = self.sampler(features, vector, steps, draw, progress=between, mel=mel)
        sampled = time.perf_counter()
        audio = None
        if self.synthesiser is not None:
            f0_hz = features.f0_hz if self.sources_everywhere else features.f0_hz * features.voiced
            audio = self.synthesiser(mel, f0_hz, seed, progress=_between(progress, SAMPLED, 1.0))
        self.timings = {"mel": sampled - start, "vocoder": time.perf_counter() - sampled}
        return audio, mel

    def _steps(self, steps: int | None) -> int:
        steps = self.default_steps if steps is None else steps
        if steps not in self.sampler.schedules:
            built = ", ".join(map(str, self.steps))
            raise EngineError(f"{steps} steps are not built in, {built} are", "choose one, or rebuild with --steps")
        return steps

    def check_request(self, speaker, transpose=0, formant: float = 0.0) -> None:
        """Raises what :meth:`convert` would for these, before any recording is read."""
        self._check_formant(formant)
        if transpose == "auto":
            hearing.known_pitch(self.table.median_f0_hz(self.table.weights(speaker)))

    def _check_formant(self, formant: float) -> None:
        if not abs(formant) <= MOST_FORMANT:
            raise ConfigError(f"formant is {formant!r}", f"give semitones from −{MOST_FORMANT} to {MOST_FORMANT}")
        if formant and not self.config.condition.key_shift:
            raise EngineError(f"{self.path} has no key-shift embedding, so formants stay", "leave formant at 0")

    def _given_mel(self, mel, frames: int) -> Tensor | None:
        """The mel to refine, if this engine refines; ConfigError where one is missing, in the way or of wrong shape."""
        if (mel is None) != (self.sampler.depth is None):
            refines = "refines given mels" if mel is None else "makes mels from noise"
            raise ConfigError(f"{self.path} {refines}", "give mel [T, M]" if mel is None else "leave mel away")
        if mel is None:
            return None
        mel = torch.as_tensor(mel, dtype=torch.float32)
        if mel.shape != (frames, self.config.mel.bins):
            raise ConfigError(
                f"mel has shape {tuple(mel.shape)}", f"[{frames}, {self.config.mel.bins}] fits the other features"
            )
        return mel

    def check_convertible(self) -> None:
        """Raises EngineError, saying what to build, if this engine lacks a part that :meth:`convert` needs."""
        if self.config.amphion is not None:
            units = " and ".join(self.config.amphion.encoders)
            raise EngineError(
                f"{self.path} takes units of {units}, which are not computed here, so it cannot convert recordings",
                "make them with Amphion, and call Engine.synthesise",
            )
        parts = {"vocoder": self.synthesiser, "content encoder": self.encoder}
        lacking = [name for name, part in parts.items() if part is None]
        if lacking:
            raise EngineError(
                f"{self.path} has no {' and no '.join(lacking)}, so it cannot convert recordings",
                f"build it again with {' and '.join('--' + name.split()[0] for name in lacking)}",
            )
        if self.sampler.depth is not None:
            raise EngineError(
                f"{self.path} refines given mels (depth {self.sampler.depth}), so it cannot convert recordings",
                "call synthesise with a mel, or build it again without --depth",
            )


def _fit(audio: np.ndarray, samples: int, gain: float) -> np.ndarray:
    """Exactly ``samples`` long (rounding of rates leaves at most one too many or too few), level restored."""
    audio = audio[:samples] if len(audio) >= samples else np.pad(audio, (0, samples - len(audio)))
    return audio if gain == 1.0 else np.multiply(audio, np.float32(gain), out=audio)


def _between(progress, low: float, high: float):
    return progress and (lambda fraction: progress(low + fraction * (high - low)))
