"""Training of the phonetic recogniser, whose bottleneck is the content encoder.

Losses: frame cross-entropy to the choir's exact phone times, and CTC to the sequence, which also uses the blank.
Three things keep the singer out of the units: perturbed throats and channels, noise on the bottleneck, and a listener.
The listener is trained to name the singer from a frame, and the recogniser to leave it with a uniform guess (Ganin et
al. 2016 in spirit, with a bounded loss in place of the reversed gradient).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fastsvc.audio.resample import resample
from fastsvc.config import RecogniserConfig, from_dict, to_dict
from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.data import pseudo
from fastsvc.errors import ConfigError
from fastsvc.model.local_conformer import ConformerTrunk
from fastsvc.model.recogniser import Recogniser, collapse, decode, edit_distance
from fastsvc.training import augment, hama, losses
from fastsvc.training.generated import GeneratedSettings, maker_of
from fastsvc.training.old_units import OldUnits, OldUnitsSettings
from fastsvc.training.task import Task, Turn
from fastsvc.training.warm import start_from

BLANK_SYMBOL = "<blank>"
HAMA = "hama"  # as task.init
HAMA_CROPS = 24, 256  # by whose mels the two are compared


@dataclass(frozen=True)
class RecogniserTaskConfig:
    """The YAML's ``task`` part. ``model.phones`` is filled in from the corpus."""

    init: str = ""  # a recogniser to start from: its checkpoint, used wherever names and shapes agree; or "hama"
    frozen: float = 0.0  # share of the budget in which a conformer's blocks stay as they are
    old_units: OldUnitsSettings = field(default_factory=OldUnitsSettings)
    domain: str = "own"  # own: the mel of ``model``, at 16 kHz; corpus: the corpus's, as students make it
    model: RecogniserConfig = field(default_factory=RecogniserConfig)
    augment: augment.AugmentConfig = field(default_factory=augment.AugmentConfig)
    ctc: float = 0.3
    smoothing: float = 0.1
    blur: float = 0.2  # standard deviation of the noise on the units
    confusion: float = 0.2  # weight of the loss against the listener; 0: no listener
    held_out: bool = False  # for evaluation or a guard alone: no student may be trained to please it
    generated: GeneratedSettings = field(default_factory=GeneratedSettings)  # domain corpus only
    valid_batches: int = 4

    def __post_init__(self):
        if self.domain not in ("own", "corpus"):
            raise ConfigError(f"task.domain is {self.domain!r}", "use own or corpus")
        within("task", self, frozen=SHARE, ctc=(0, 1e3), smoothing=SHARE, blur=(0, 100), confusion=(0, 1e3))
        within("task", self, valid_batches=(0, 10_000))


class RecogniserTask(Task):
    kind = "recogniser"
    best = ("phone_error_rate_perturbed", "min")

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        settings = from_dict(RecogniserTaskConfig, config or {}, "task")
        if not corpus.phones:
            raise ConfigError(
                "the corpus has no phones, so no recogniser can be trained on it",
                "prepare it from a dataset with .json transcripts beside the audio, such as that of `fastsvc choir`, "
                "or with --pseudo-labels",
            )
        plain = to_dict(settings.model) | {"phones": [BLANK_SYMBOL, *corpus.phones]}
        if settings.domain == "corpus":
            plain |= {"mel": to_dict(corpus.mel)}
        self.settings, self.model_config = settings, from_dict(RecogniserConfig, plain)
        self.agree(self.model_config, settings)
        self.model = Recogniser(self.model_config).to(self.device)
        if settings.frozen and not isinstance(self.model.trunk, ConformerTrunk):
            raise ConfigError(
                "task.frozen is for a conformer's blocks", "set task.model.architecture to conformer, or 0"
            )
        if settings.init == HAMA:
            if self.resume_point is None:
                self._start_from_hama()
        elif settings.init:
            start_from(self.model, settings.init, self.kind)
        self.old = None
        if settings.old_units.content:
            self.old = OldUnits(settings.old_units, self.model_config, self.device)
            if settings.init in ("", HAMA):
                self.old.give_head(self.model)
        self.listener = Listener(self.model_config.bottleneck, len(corpus.singers)).to(self.device)
        if settings.confusion:
            self.extra = {"listener": self.listener}
            self.singer_rows = {"listener": {"2.weight": 1, "2.bias": 1}}
        self.maker = maker_of(settings.generated, corpus, self.device, self.model_config.mel)

    def _start_from_hama(self) -> None:
        if not isinstance(self.model.trunk, ConformerTrunk):
            raise ConfigError("task.init: hama is a conformer", "set task.model.architecture to conformer")
        crops = self.corpus.batch(np.random.default_rng(0), "train", *HAMA_CROPS)["audio"].numpy()
        audio = [resample(one, self.corpus.mel.rate_hz, self.model_config.mel.rate_hz) for one in crops]
        hama.start(self.model.trunk, self.model_config, torch.from_numpy(np.stack(audio)))

    @property
    def singers(self) -> list[str]:
        """The listener's singers. They are not ``speakers``, because the recogniser itself has no speakers."""
        return list(self.corpus.singers)

    @staticmethod
    def lasting(settings: RecogniserTaskConfig) -> dict:
        return {"task.confusion": "on" if settings.confusion else "off", "task.held_out": settings.held_out}

    def of_corpus(self) -> dict:
        clusters = getattr(self.corpus, "clusters", None)
        return super().of_corpus() | {"labels": None if clusters is None else pseudo.mark(clusters)}

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model_config)

    def batch(self, rng: np.random.Generator) -> dict:
        generated = self.maker.count(self.batch_size) if self.maker else 0
        crops = self.corpus.batch(rng, "train", self.batch_size - generated, self.batch_frames)
        batch = self.perturbed(crops, rng, self.settings.augment)
        if self.old is not None:
            source, generator = self.corpus.mel, torch.Generator()
            plain, hop = augment.perturbed_mel(crops["audio"], source.rate_hz, self.old.mel, augment.NONE, generator)
            batch |= {"old_mel": plain, "old_step": batch.pop("hop") / hop}
        return batch | (self.maker.draw(rng, generated, self.batch_frames) if generated else {})

    def perturbed(self, crops: dict, rng: np.random.Generator, config: augment.AugmentConfig) -> dict:
        """Corpus crops -> mel [B, T, M], labels [B, T] (blank 0, -1 unknown), singer [B]."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        audio = torch.as_tensor(crops["audio"])
        source = self.corpus.mel
        mel, hop = augment.perturbed_mel(audio, source.rate_hz, self.model_config.mel, config, generator)
        labels = torch.as_tensor(crops["phone_labels"]).long()
        # The corpus counts from its first phone, the recogniser from the blank.
        labels = torch.where(labels >= 0, labels + 1, labels)
        labels = augment.labels_at(labels, source.hop_samples, hop, mel.shape[1])
        singer = torch.as_tensor(crops["singer"]).long()
        return {"mel": mel, "labels": labels, "singer": singer} | ({} if self.old is None else {"hop": hop})

    def turns(self, step: int) -> list[Turn]:
        turns = [Turn("recogniser", self.model, self._loss)]
        if self.settings.confusion:
            turns.append(Turn("listener", self.listener, self._listener_loss))
        return turns

    def _loss(self, batch: dict, step: int):
        if self.maker:
            batch |= self._with_generated(batch)
        mel, labels = batch["mel"], batch["labels"]
        blur = self.settings.blur * self.noise(mel.new_empty(*mel.shape[:2], self.model_config.bottleneck))
        if isinstance(self.model.trunk, ConformerTrunk):
            self.model.trunk.frozen = self.progress < self.settings.frozen
        units, logits = self.model(mel, blur=blur)
        self._noisy_units = (units + blur).detach()
        frame = losses.frame_cross_entropy(logits, labels, self.settings.smoothing)
        sequence = losses.ctc(logits, labels)
        loss = frame + self.settings.ctc * sequence
        figures = {"frame": frame.detach(), "ctc": sequence.detach()}
        if self.old is not None:
            own = units[: len(batch["old_mel"])]  # generated items, behind them, have no recording
            distance = self.old.distance(own, batch["old_mel"], batch["old_step"])
            loss = loss + self.settings.old_units.weight * distance
            figures["old_units"] = distance.detach()
        if self.settings.confusion:
            singer_confusion = losses.confusion(self.listener(units + blur))
            loss = loss + self.settings.confusion * singer_confusion
            figures["confusion"] = singer_confusion.detach()
        return loss, figures

    def _with_generated(self, batch: dict) -> dict:
        """Real and generated items as one batch, cut to the shorter of their lengths, because tempos differ."""
        generated = self.maker.mel(batch, self.generator)
        frames = min(generated.shape[1], batch["mel"].shape[1])
        together = {"mel": (batch["mel"], generated), "labels": (batch["labels"], batch["made_labels"])}
        joined = {name: torch.cat([part[:, :frames] for part in parts]) for name, parts in together.items()}
        return joined | {"singer": torch.cat([batch["singer"], batch["made_singer"]])}

    def _listener_loss(self, batch: dict, step: int):
        logits = self.listener(self._noisy_units).float()
        target = batch["singer"][:, None].expand(logits.shape[:2])
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        hit = (logits.argmax(-1) == target).float().mean()
        return loss, {"listener_accuracy": hit.detach()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Held-out songs: clean and perturbed."""
        out = {}
        for name, config in (("", augment.NONE), ("_perturbed", self.settings.augment)):
            rng = np.random.default_rng(1234)
            right = known_frames = errors = phones = 0
            for _ in range(self.settings.valid_batches):
                crops = self.corpus.batch(rng, "valid", self.batch_size, self.batch_frames)
                batch = self.perturbed(crops, rng, config)
                logits = model(batch["mel"].to(self.device))[1]
                counts = score(logits.cpu(), batch["labels"])
                right, known_frames = right + counts[0], known_frames + counts[1]
                errors, phones = errors + counts[2], phones + counts[3]
            out[f"frame_accuracy{name}"] = right / max(known_frames, 1)
            out[f"phone_error_rate{name}"] = errors / max(phones, 1)
        return out


class Listener(nn.Sequential):
    """A small network that guesses the singer from one unit: [..., D] -> [..., singers]."""

    def __init__(self, channels: int, singers: int):
        super().__init__(nn.Linear(channels, 96), nn.GELU(), nn.Linear(96, singers))


def score(logits: torch.Tensor, labels: torch.Tensor) -> tuple[int, int, int, int]:
    """(frames right, frames known, phone errors, phones) of a batch."""
    guess = logits.argmax(-1)
    is_known = labels >= 0
    errors = phones = 0
    for item_logits, row, inside in zip(logits, labels, is_known):
        truth = collapse(row[inside])
        errors += edit_distance(decode(item_logits[inside]), truth)
        phones += len(truth)
    return int(((guess == labels) & is_known).sum()), int(is_known.sum()), errors, phones
