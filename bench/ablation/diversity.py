"""How much a student of an ablation varies with its noise, as a share of the teacher's deviation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fastsvc import files, reading
from fastsvc.config.limits import CROPS, FRAMES, STEPS
from fastsvc.config.plain import within


@dataclass(frozen=True)
class DiversitySettings:
    seeds: int = 16  # of noise, for each condition; 0: not measured
    crops: int = 8  # of held-out songs
    frames: int = 192
    teacher_steps: int = 18  # Heun's

    def __post_init__(self):
        within("diversity", self, seeds=(0, 10_000), crops=CROPS, frames=FRAMES, teacher_steps=STEPS)


def diversity(
    options: DiversitySettings, run_yaml: Path, teacher: str, checkpoint: Path, steps: Sequence[int], out: Path
) -> dict[str, float]:
    """By number of steps: deviation over noise for one condition, as a share of the teacher's.

    run_yaml: a training on the corpus; out: the folder that caches the teacher's own deviation, a minute's work.
    """
    import numpy as np
    import torch

    from fastsvc.artifact.engine_folder import sha256
    from fastsvc.data.corpus import Corpus
    from fastsvc.training import alarms, settings
    from fastsvc.training.generated import GeneratedSettings, MelMaker

    if options.seeds < 2:
        return {}
    corpus = Corpus(settings.read_settings(run_yaml).corpus)

    def spread(path, count: int) -> float:
        maker = MelMaker(GeneratedSettings(str(path), steps=count), corpus, "cpu", corpus.mel)
        batch = maker.draw(np.random.default_rng(0), options.crops, options.frames, "valid")

        def sampled(seed: int) -> torch.Tensor:
            return maker.model.normalise(maker.mel(batch, torch.Generator().manual_seed(seed)))

        return alarms.spread(sampled, options.seeds, batch["made_valid"])

    teacher_spread = _once(
        out / "teacher_spread.json",
        {"teacher": sha256(Path(teacher)), "corpus": str(corpus.path), "diversity": asdict(options)},
        lambda: spread(teacher, options.teacher_steps),
    )
    return {str(count): spread(checkpoint, count) / max(teacher_spread, 1e-9) for count in steps}


def _once(path: Path, made_with: dict, make: Callable[[], float]) -> float:
    """A figure that all cells share, cached in a file together with its inputs."""
    if path.is_file():
        stored = reading.read_json(path)
        if stored["made_with"] == made_with:
            return stored["value"]
    value = make()
    files.write_json(path, {"made_with": made_with, "value": value}, indent=None)
    return value
