"""Students side by side: each cell of a YAML is trained, built and evaluated over several seeds, and all make a table.

python -m bench.ablation.run -c configs/ablation/ablation.yaml [--only CD,DMD] [--seeds 0,1]

Every cell has a folder of its own, OUT/CELL/seedN: ``run.yaml`` (the training's whole configuration), its checkpoints,
``engine.fsvc``, ``evaluation/`` and, at the end, ``cell.json``. Finished cells are not repeated, and an interrupted
training continues. The table, ``ablation.json`` and ``ablation.md``, holds the finished cells, and ``clips.csv`` every
clip of theirs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.ablation import clips, table
from bench.ablation.diversity import diversity
from bench.ablation.plan import Ablation, read_plan, training_config
from fastsvc import faults, files, reading, screen
from fastsvc.config import from_dict
from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.evaluation import report
from fastsvc.evaluation.settings import EvaluationSettings

RESULTS = 64 * 2**20  # bytes of a file that this program wrote


def run(plan: Ablation, only: Sequence[str] = (), seeds: Sequence[int] = (), progress: bool = True) -> dict | None:
    """Do the unfinished cells; → the table, or None where a training was interrupted.

    A failing cell is listed in the table's ``failed``; the other cells are still done.
    """
    names = [name for name in plan.cells if not only or name in only]
    cells = [(name, seed) for seed in seeds or plan.seeds for name in names]
    failed: dict[str, str] = {}
    for name, seed in [cell for cell in cells if not _done(plan, *cell)]:  # a list: its errors come before any work
        try:
            if not _make(plan, name, seed, progress):
                return None
        except FastsvcError as error:
            failed[f"{name}, seed {seed}"] = str(error)
            print(screen.shown(f"ablation: {name}, seed {seed}: {error}"), file=sys.stderr)
        else:
            _write(plan, failed)
    return _write(plan, failed)


def _stamp(plan: Ablation, name: str, seed: int) -> dict:
    """Everything that a cell depends on, to recognise a finished cell that was made with other settings."""
    cell, common = plan.cell(name), asdict(plan)
    plain = {key: common[key] for key in ("teacher", "vocoder", "content", "evaluate", "diversity")}
    run = training_config(plan, name, seed)
    judging = [plan.vocoder, plan.content, *(plan.evaluate.get(key) for key in ("recogniser", "verifier"))]
    files = _training_checkpoints(run["task"]) | _hashes(judging)
    return json.loads(json.dumps(plain | {"cell": asdict(cell), "run": run, "files": files}))


def _training_checkpoints(task: dict) -> dict[str, str]:
    """Hashes of the checkpoints that a training uses."""
    named = [value for part in ("listeners", "guard") for value in task.get(part, {}).values()]
    return _hashes([task["teacher"], task.get("init"), *named])


def _hashes(paths: Sequence) -> dict[str, str]:
    """sha256 by path, since a checkpoint may be trained again; paths without a file are left out."""
    from fastsvc.artifact.engine_folder import sha256

    return {path: sha256(Path(path)) for path in paths if isinstance(path, str) and Path(path).is_file()}


def _done(plan: Ablation, name: str, seed: int) -> bool:
    path = plan.folder(name, seed) / "cell.json"
    if not path.is_file():
        return False
    if reading.read_json(path, RESULTS)["made_with"] != _stamp(plan, name, seed):
        raise ConfigError(
            f"{path.parent}: was made with other settings or checkpoints",
            "choose another `out`, or remove that folder (its cell.json alone to judge the same training again)",
        )
    return True


def _train(plan: Ablation, name: str, seed: int) -> dict | None:
    """{"step", "reason"} of a cell's training, which continues an interrupted one; None where it is interrupted.

    A training that has ended, perhaps by its guard, is not resumed when a later part of its cell was interrupted.
    """
    import yaml

    from fastsvc import training
    from fastsvc.training.settings import parse

    cell, folder, run = plan.cell(name), plan.folder(name, seed), training_config(plan, name, seed)
    if cell.of:
        if not (plan.folder(cell.of, seed) / "trained.json").is_file():
            raise ConfigError(f"{cell.of} of seed {seed}, whose training {name} is, is not done", "do that cell first")
        return _train(plan, cell.of, seed)
    if cell.init and not _done(plan, cell.init, seed):
        raise ConfigError(f"{cell.init} of seed {seed}, which {name} starts from, is not done", "do that cell first")
    folder.mkdir(parents=True, exist_ok=True)
    config, ended = folder / "run.yaml", folder / "trained.json"
    if (folder / "last.pt").is_file():
        if config.is_file() and parse(reading.read_text(config), str(config)) != run:
            raise ConfigError(f"{folder}: was begun with other settings", "choose another `out`, or remove that folder")
        if ended.is_file():
            outcome = reading.read_json(ended, RESULTS)
            if outcome["made_with"] != _training_checkpoints(run["task"]):
                raise ConfigError(f"{folder}: was trained with other checkpoints", "remove that folder")
            return outcome
    files.write_text(config, yaml.safe_dump(run))
    result = training.run(cell.kind, config, resume=any(folder.glob("*.pt")))
    if not result["finished"] and not result["reason"]:
        return None
    outcome = {key: result[key] for key in ("step", "reason")} | {"made_with": _training_checkpoints(run["task"])}
    files.write_json(ended, outcome, indent=None)
    return outcome


def _make(plan: Ablation, name: str, seed: int, progress: bool) -> bool:
    """Train, build, evaluate; False where the training was interrupted."""
    from fastsvc import build
    from fastsvc.evaluation.run import evaluate_settings

    cell, folder = plan.cell(name), plan.folder(name, seed)
    result = _train(plan, name, seed)
    if result is None:
        return False
    trained = plan.folder(cell.of or name, seed)
    chosen = trained / f"{cell.checkpoint}.pt"
    # A run that its guard ended is judged by its best checkpoint, not by the last one, to which the guard objected.
    if result["reason"] and (trained / "best.pt").exists():
        chosen = trained / "best.pt"
    parts = {"vocoder": plan.vocoder, "content": plan.content}
    engine = build.compile(chosen, folder / "engine.fsvc", steps=cell.steps, force=True, progress=None, **parts)
    first = (name, seed) == (next(iter(plan.cells)), plan.seeds[0])  # teacher and references are evaluated once
    settings = {"model": str(engine), "teacher": plan.teacher if first else None, "references": first}
    settings = plan.evaluate | settings
    evaluation = evaluate_settings(from_dict(EvaluationSettings, settings), folder / "evaluation", progress=progress)
    content = {
        "made_with": _stamp(plan, name, seed),
        "checkpoint": chosen.name,
        "steps_trained": result["step"],
        "stopped": result["reason"],
        "rows": evaluation["choir"]["rows"],
        "diversity": diversity(plan.diversity, trained / "run.yaml", plan.teacher, chosen, cell.steps, Path(plan.out)),
        **{key: evaluation[key] for key in ("date", "machine", "versions")},
    }
    files.write_json(folder / "cell.json", report.plain(content))
    return True


def _write(plan: Ablation, failed: dict[str, str]) -> dict:
    """Write the table and the clips of all finished cells into ``out``; → the table."""
    cells: dict = {}
    for name in plan.cells:
        for seed in plan.seeds:
            path = plan.folder(name, seed) / "cell.json"
            if path.is_file():
                cells.setdefault(name, {})[seed] = reading.read_json(path, RESULTS)
    result = table.table(cells, plan.against) | {"failed": failed}
    if cells:
        table.write(Path(plan.out), result, clips.clips_csv(cells))
    return result


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",") if seed]  # argparse reports a ValueError


def main(arguments: Sequence[str] | None = None) -> int:
    with screen.steady():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ablation.run", description=__doc__.split("\n")[0])
    parser.add_argument("-c", "--config", required=True, help="YAML, such as configs/ablation/ablation.yaml")
    parser.add_argument("--only", default="", help="cells, with commas between (default: all)")
    parser.add_argument("--seeds", default=[], type=_seeds, help="with commas between (default: those of the YAML)")
    options = parser.parse_args(arguments)
    try:
        plan = read_plan(options.config)
        only = [name.strip() for name in options.only.split(",") if name.strip()]
        unknown = [name for name in only if name not in plan.cells]
        if unknown:
            raise ConfigError(f"there is no cell {unknown[0]!r}", f"choose from {', '.join(plan.cells)}")
        result = run(plan, only, options.seeds)
    except Exception as error:
        print(f"ablation: {screen.shown(faults.line_with_report(error))}", file=sys.stderr)
        return 1 if faults.user_error(error) else faults.EXIT
    if result is None:
        print("ablation: stopped; the same command continues", file=sys.stderr)
        return 130
    if result["systems"]:
        print(table.markdown(result))
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
