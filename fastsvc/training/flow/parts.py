"""The parts of an acoustic training that a rectified flow does in its own way; beside a task of fastsvc.training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.config import DdspConfig, from_dict
from fastsvc.model.ddsp import DdspModel
from fastsvc.model.keys import fit
from fastsvc.training import diffusion, rows
from fastsvc.training.acoustic import AcousticTask
from fastsvc.training.flow import process, reading
from fastsvc.training.flow.distilled import DistilledFlow
from fastsvc.training.flow.model import FlowModel

TABLE = "ddsp_model.unit2ctrl.spk_embed.weight"


class FlowParts(AcousticTask):
    """The condition is the synthesiser's first mel; its noise is drawn with the crops, as ``source`` [B, T·hop]."""

    model: Any  # FlowModel
    speaker_table = TABLE
    speaker_base = 0  # the first speaker's id

    def crops(self, split: str, rng: np.random.Generator, size: int, frames: int, **also) -> dict[str, Tensor]:
        crop = super().crops(split, rng, size, frames, **also)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        samples = frames * self.corpus.mel.hop_samples
        return crop | {"source": torch.randn(size, samples, generator=generator)}

    def condition(self, model: Any, batch: dict, speaker: Tensor | None = None) -> Tensor:
        """The first mel [B, T, M], a natural logarithm, in float32."""
        speaker = batch["singer"] if speaker is None else speaker
        with torch.autocast(self.device.type, enabled=False):
            return model.synthesised(batch["units"], batch["f0_hz"], batch["volume"], speaker, batch["source"])

    def denoiser(self, model: Any, cond: Tensor, valid: Tensor, net: nn.Module | None = None) -> diffusion.Denoise:
        net = model.reflow_model.velocity_fn if net is None else net
        return lambda x, sigma: process.denoise(net, x, sigma, cond, valid)

    def guided(self, model: Any, batch: dict, weight: float, cond: Tensor | None = None) -> diffusion.Denoise:
        """Without guidance, which needs a teacher trained without singers (the settings refuse another weight)."""
        return self.denoiser(model, self.condition(model, batch) if cond is None else cond, batch["valid"])

    def process_of(self, model: Any) -> DistilledFlow:
        return DistilledFlow(model.config.t_start)

    def read_acoustic(self, path: str, kinds: tuple[str, ...]) -> dict:
        content = reading.content_of(path, kinds, self.corpus.singers)
        self.speaker_base = content["speaker_base"]
        return content

    def of_corpus(self) -> dict:
        """Besides, the ids of a voice of another project, which its student keeps."""
        return super().of_corpus() | ({"speaker_base": self.speaker_base} if self.speaker_base else {})

    def load_acoustic(self, content: dict, path: str) -> Any:
        """As the base, for a flow: with the corpus's recipe of the mel, whose fields agree with the checkpoint's."""
        config, names = from_dict(DdspConfig, content["config"]["model"]), content["speakers"]
        if set(map(rows.key, names)) != set(map(rows.key, self.speakers)):
            raise self._other_singers(path, names, self.speakers)
        reading.refuse_other_corpus(content, config, path, self.corpus)
        config = replace(config, mel=replace(self.corpus.mel, log_base="e"))
        state = fit(content["ema"], lambda: DdspModel(config), Path(path))
        model = FlowModel(config, self.corpus.mel.log_base)
        tables = {TABLE: 1} if TABLE in state else {}
        model.load_state_dict(rows.moved_state(state, model, tables, rows.Move(names, self.speakers)))
        return model.requires_grad_(False).eval().to(self.device)
