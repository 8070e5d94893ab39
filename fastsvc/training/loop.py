"""The one training loop: all tasks go through it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from fastsvc import arguments, files
from fastsvc.errors import ConfigError, FastsvcError, OutputError
from fastsvc.training import optim, parallel, rows, saving, validation
from fastsvc.training.feeder import Feeder, seed_of
from fastsvc.training.interrupt import Interrupt
from fastsvc.training.logging import Log, plain
from fastsvc.training.resume import find, nothing_to_resume
from fastsvc.training.settings import TrainingSettings, read_settings
from fastsvc.training.task import TASKS, Sample, Task, Turn, task_class

PATIENCE = 10  # steps in a row with a loss that is not finite


def run(
    kind: str,
    config_path: str | Path,
    resume: bool = False,
    out: str | Path | None = None,
    on_samples: Callable[[int, dict[str, Sample]], None] | None = None,
    hint: str | None = None,
) -> dict:
    """Train a checkpoint of this ``kind`` from a YAML file → {"step", "finished", "out", "best", "reason"}.

    ``out`` replaces the file's; ``on_samples(step, samples)`` gets the samples of each validation; ``hint``: the
    command that continues; ``reason``: why the task itself requested a stop, or "". Raises ConfigError,
    CheckpointError, OutputError, and FastsvcError when the loss is not finite for several steps.
    """
    arguments.one_of("task", kind, TASKS)
    arguments.flag("resume", resume)
    out = arguments.optional(arguments.path, "out", out)
    settings = read_settings(arguments.path("config_path", config_path))
    cls, out = task_class(kind, settings.task), out or Path(settings.out)
    resume_point, message = (find(out, kind), nothing_to_resume(out)) if resume else (None, "")
    for name in ("last.pt", "best.pt"):  # training overwrites both
        if (out / name).exists() and not resume:
            raise OutputError(f"{out}/{name} exists already", "add --resume to continue, or choose another `out`")
    with parallel.session(optim.device_of(settings.device)) as (group, device):
        torch.manual_seed(settings.seed)  # the weights a run starts from
        corpus = cls.open_corpus(settings.corpus) if settings.corpus else None
        task = cls(
            settings.task,
            corpus,
            device,
            batch_size=settings.batch.size,
            batch_frames=settings.batch.frames,
            seed=settings.seed,
            resume_point=resume_point,
        )
        task.notes += [message] if message and resume_point is None else []
        hint = hint or f"fastsvc train {kind} -c {config_path} --resume"
        with _alone(out) if group.first else contextlib.nullcontext():
            return Trainer(task, settings, out, group, resume, hint, on_samples).train()


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Two trainings in one folder would write over each other's checkpoints."""
    with files.folder_lock(out, "training"):
        files.clear_leftovers(out)
        yield


class Trainer:
    """The state of a run: ``step`` counts finished steps."""

    def __init__(
        self,
        task: Task,
        settings: TrainingSettings,
        out: Path,
        group=None,
        resume: bool = False,
        hint: str = "",
        on_samples=None,
    ):
        self.task, self.settings, self.out, self.hint, self.on_samples = task, settings, Path(out), hint, on_samples
        self.group = group or parallel.ProcessGroup()
        self.device = task.device
        self.dtype = optim.precision_of(settings.precision, self.device)
        if self.dtype == torch.float16 and not task.fp16:
            raise ConfigError(f"training: {task.kind} does not train in fp16", "set precision: bf16 or fp32")
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.step, self.elapsed_s, self.best, self.bad_steps = 0, 0.0, None, 0
        self.reason = ""  # why the task requested a stop
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.parameters: dict[str, list] = {}
        self.pending: dict[str, dict] = {}  # restored optimiser states of turns that have not come yet
        self.group.broadcast([task.model, *task.extra.values()])
        self.ema = optim.Ema(task.model, settings.ema)
        self.move, self.added = rows.Move((), ()), False  # from the checkpoint's singers to today's
        self.resumed = resume and self._resume()
        self.frozen_rows = saving.frozen_rows(self)

    # ---- saving and resuming

    def save(self, name: str) -> None:
        if self.group.first:
            saving.save(self, self.out / name)

    def _resume(self) -> bool:
        resume_point = self.task.resume_point or find(self.out, self.task.kind)
        if resume_point is not None:
            saving.restore(self, resume_point)
        return resume_point is not None

    # ---- one step

    @property
    def fraction(self) -> float:
        """Used share of the budget: the larger of steps and minutes."""
        steps, minutes = self.settings.steps, self.settings.minutes
        return max(self.step / steps if steps else 0.0, self.elapsed_s / (60 * minutes) if minutes else 0.0)

    def optimizer(self, turn: Turn) -> torch.optim.Optimizer:
        if turn.name not in self.optimizers:
            parameters = [p for p in turn.module.parameters() if p.requires_grad]
            self.parameters[turn.name] = parameters
            self.optimizers[turn.name] = optim.adamw(parameters, self.settings.optim)
            if turn.name in self.pending:
                saving.restore_optimizer(self, turn.name)
        return self.optimizers[turn.name]

    def run_step(self, batch: dict) -> dict:
        """All turns of one step, then the EMA; → figures (tensors or numbers)."""
        task, seed = self.task, seed_of(self.settings.seed, self.step, self.group.rank)
        torch.manual_seed(seed)  # dropout
        task.generator.manual_seed(seed)
        task.progress = self.fraction
        rate = task.rate = optim.learning_rate(self.settings.optim, self.step, self.fraction)
        figures, sound = {}, True
        turns = task.turns(self.step)
        for turn in turns:
            self.optimizer(turn)  # before any turn freezes the others
        for turn in turns:
            sound &= self._turn(turn, batch, rate, figures)
        if self.scaler.is_enabled():
            self.scaler.update()
        self._watch(sound, figures)
        if sound:
            task.after_step(self.step)
            self.ema.update(task.model)
            self.frozen_rows.put_back()
        self.step += 1
        figures["lr"] = rate
        return figures

    def _turn(self, turn: Turn, batch: dict, rate: float, figures: dict) -> bool:
        """One optimiser step; → False where the loss is not finite and the weights stay."""
        optimizer, parameters = self.optimizer(turn), self.parameters[turn.name]
        for name, others in self.parameters.items():
            for p in others:
                p.requires_grad_(name == turn.name)
        turn.module.train()
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = rate * turn.lr_scale
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            loss, new = turn.loss(batch, self.step)
        self.scaler.scale(loss).backward()
        loss = self.group.average_gradients(parameters, loss.detach())
        self.scaler.unscale_(optimizer)
        clip = self.settings.optim.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
        figures.update(new)
        figures[f"loss_{turn.name}"], figures[f"norm_{turn.name}"] = loss, norm
        if not math.isfinite(loss) or not (self.scaler.is_enabled() or math.isfinite(norm)):
            return False
        self.scaler.step(optimizer)  # with fp16 it skips a step whose gradients overflowed
        return True

    def _watch(self, sound: bool, figures: dict) -> None:
        self.bad_steps = 0 if sound else self.bad_steps + 1
        if self.bad_steps >= PATIENCE:
            losses = ", ".join(f"{k} {float(v):g}" for k, v in figures.items() if k.startswith("loss_"))
            raise FastsvcError(
                f"training stopped at step {self.step}: the loss was not a number for {PATIENCE} steps ({losses})",
                f"lower optim.lr or use precision: fp32; {self.out}/last.pt is from before",
            )

    # ---- the run

    def train(self) -> dict:
        log = Log(self.task.kind, self.out, self.step, quiet=not self.group.first, fraction=self.fraction)
        for line in saving.opening(self):
            log.say(line)
        start, elapsed_before = time.monotonic(), self.elapsed_s
        first = self.step
        with (
            Interrupt() as interrupt,
            Feeder(self.task.batch, self.settings.seed, first, self.group.rank, self.device) as feeder,
            contextlib.closing(log),
        ):
            due = first % self.settings.validate_every == 0 or self.fraction >= 1
            if first and due and not log.has_validation(first):
                validation.save_and_validate(self, log)  # the run was killed after saving, before it was measured
            stop, last_logged = self._agree(self.elapsed_s, bool(self.reason))[1], (first, start)
            while not stop and self.fraction < 1:
                figures = self.run_step(feeder.next())
                self.elapsed_s, stop = self._agree(elapsed_before + time.monotonic() - start, interrupt.requested)
                log.advance(self.step, self.fraction)
                if self.step % self.settings.log_every == 0:
                    now = time.monotonic()
                    figures["ms_per_step"] = 1000 * (now - last_logged[1]) / (self.step - last_logged[0])
                    figures["elapsed_s"] = self.elapsed_s
                    last_logged = (self.step, now)
                    log.figures(self.step, plain(figures), "train", [k for k in figures if k.startswith("loss_")])
                if self.step % self.settings.validate_every == 0:
                    validation.save_and_validate(self, log)
                    stop |= self._agree(self.elapsed_s, bool(self.reason))[1]
                elif self.step % self.settings.save_every == 0:
                    self.save("last.pt")
            if self.step > first and self.step % self.settings.validate_every:
                self.save("last.pt") if stop else validation.save_and_validate(self, log)
            if stop:
                why = f": {self.reason}" if self.reason else ""
                log.say(f"stopped after step {self.step}{why}; saved in {self.out}/last.pt; continue with: {self.hint}")
        result = {"step": self.step, "finished": not stop, "out": str(self.out)}
        return result | {"best": self.best, "reason": self.reason}

    def _agree(self, elapsed_s: float, stop: bool) -> tuple[float, bool]:
        elapsed_s, stop = self.group.maximum(elapsed_s, float(stop))
        return elapsed_s, bool(stop)
