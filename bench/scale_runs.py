"""What bench/scale.py runs and writes: simulated clusters, and a machine without Ray."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from bench import circumstances
from bench.scale_driver import driving
from bench.scale_engine import FixedCostEngine, FixedCostWorker
from fastsvc.convert import batch
from fastsvc.convert.plan import plan as conversion_plan
from fastsvc.convert.report import DONE
from fastsvc.convert.settings import ConversionSettings
from fastsvc.convert.spread import ray_cluster, run
from fastsvc.convert.spread.crew import HereCrew, Ready
from fastsvc.convert.spread.ray_crew import RayCrew
from fastsvc.convert.spread.remote_plan import spread_plan
from fastsvc.convert.spread.worker import Worker, WorkerSpec
from fastsvc.engine import Request
from fastsvc.files import write_text

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- table: written by bench/scale.py -->\n", "<!-- end of table -->\n"
SECONDS, RATE_HZ = 1.0, 24000


class TogetherCrew(RayCrew):
    """Gives nobody work before all are ready, so that starts are not counted; knows when that was."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.held: list[Ready] = []
        self.begun_s: float | None = None

    def wait(self, timeout_s):
        events = super().wait(timeout_s)
        if self.begun_s is not None:
            return events
        self.held += [event for event in events if isinstance(event, Ready)]
        others = [event for event in events if not isinstance(event, Ready)]
        if len(self.held) < self.slots:
            return others
        self.begun_s = time.perf_counter()
        return [*others, *self.held]


def recordings(folder: Path, count: int) -> None:
    samples = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    for number in range(count):
        folder.joinpath(str(number % 10)).mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * (200 + number) * samples)
        soundfile.write(folder / str(number % 10) / f"{number}.wav", tone, RATE_HZ)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


def alone(source: Path, out: Path, cost_s: float) -> dict:
    """One worker in this process, and an ordinary run in turn."""
    engine, crews = FixedCostEngine(cost_s), []

    def crew():
        crews.append(HereCrew(Worker(WorkerSpec(str(cost_s), engine.content_hash, str(out)), engine)))
        return crews[0]

    start, start_cpu = time.perf_counter(), time.process_time()
    plan = spread_plan([str(source)], str(out))
    run.run(engine, plan, [ConversionSettings(Request("anna"))] * len(plan.jobs), crew)
    wall_s, cpu_s, count = time.perf_counter() - start, time.process_time() - start_cpu, len(plan.jobs)
    result = {"files": count, "wall_s": round(wall_s, 2), "overhead_ms": round(1e3 * (wall_s / count - cost_s), 1)}
    start_cpu = time.process_time()
    batch.run(engine, conversion_plan([source], f"{out}-batch"), ConversionSettings(Request("anna")))
    result["batch_ms"] = round(1e3 * (time.process_time() - start_cpu) / count, 2)
    return result | {"processor_ms": round(1e3 * cpu_s / count, 2), "load_1min": round(os.getloadavg()[0], 1)}


def spread(source: Path, out: Path, cost_s: float, nodes: int, remove=None) -> dict:
    """On a connected cluster; ``remove``: called after a third of the ideal time."""
    engine, crews = FixedCostEngine(cost_s), []
    plan = spread_plan([str(source)], str(out))
    count = len(plan.jobs)

    def crew():
        spec = WorkerSpec(str(cost_s), engine.content_hash, str(out), own_list=True)
        crews.append(TogetherCrew(spec, nodes, 0, FixedCostWorker))
        return crews[0]

    def away():
        while not (crews and crews[0].begun_s):
            time.sleep(0.05)
        time.sleep(count * cost_s / nodes / 3)
        remove()

    if remove is not None:
        threading.Thread(target=away, daemon=True).start()
    start = time.perf_counter()
    report, notes = run.run(engine, plan, [ConversionSettings(Request("anna"))] * count, crew)
    end = time.perf_counter()
    wall_s = end - crews[0].begun_s
    return {
        "nodes": nodes,
        "files": count,
        "converted": report.count(DONE),
        "starts_s": round(crews[0].begun_s - start, 1),
        "wall_s": round(wall_s, 2),
        "efficiency": round(count * cost_s / (nodes * wall_s), 3),
        "overhead_ms": round(1e3 * (wall_s * nodes / count - cost_s), 1),
        "workers_lost": len(notes),
    }


def measured(counts: list[int], files: int, cost_s: float, keep: Path | None) -> dict:
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # for a cluster that exists for a minute, on this machine's own
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ways = (str(PAGE.parent.parent), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, ways))  # of workers, for FixedCostWorker
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    result = circumstances.describe("python -m bench.scale", torch.device("cpu")) | {"cost_s": cost_s, "rows": []}
    result["driver"] = driving(2000)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "in")
        recordings(source, files)
        result["alone"] = alone(source, Path(scratch, "alone"), cost_s)
        whole = tree(Path(scratch, "alone"))
        print(json.dumps([result["driver"], result["alone"]]), flush=True)
        circumstances.keep(result, keep)
        if counts:
            import ray
            from ray.cluster_utils import Cluster

            result["versions"]["ray"] = ray.__version__
        for nodes in counts:
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
            added = [cluster.add_node(num_cpus=1) for _ in range(nodes)]
            ray_cluster.connect(cluster.address)
            ways = [("all", None)]
            if nodes > 1:
                ways.append(("a node is removed", lambda: cluster.remove_node(added[-1], allow_graceful=False)))  # noqa: B023
            for name, remove in ways:
                out = Path(scratch, f"{nodes}-{name}")
                row = {"case": name, **spread(source, out, cost_s, nodes, remove), "same": tree(out) == whole}
                row["load_1min"] = round(os.getloadavg()[0], 1)
                result["rows"].append(row)
                print(json.dumps(row), flush=True)
                circumstances.keep(result, keep)
            ray_cluster.disconnect()
            cluster.shutdown()
    return result


def table(result: dict) -> str:
    """The rows as Markdown."""
    head = "| nodes | case | files | starts | work | efficiency | overhead a file | same files | load |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    one = result["alone"]
    efficiency = f"{100 * one['files'] * result['cost_s'] / one['wall_s']:.0f} %"
    work, overhead = f"{one['wall_s']} s | {efficiency}", f"{one['overhead_ms']} ms"
    lines.append(f"| – | no Ray, one process | {one['files']} | – | {work} | {overhead} | – | {one['load_1min']} |")
    for row in result["rows"]:
        same = "yes" if row["same"] and row["converted"] == row["files"] else "NO"
        efficiency, overhead = f"{100 * row['efficiency']:.0f} %", f"{row['overhead_ms']} ms"
        if row["case"] != "all":
            efficiency = overhead = "–"
        cells = row["nodes"], row["case"], row["files"], f"{row['starts_s']} s", f"{row['wall_s']} s"
        lines.append(f"| {' | '.join(map(str, (*cells, efficiency, overhead, same, row['load_1min'])))} |")
    own = result["driver"]
    lines.append("")
    lines.append(f"Of the processor a file takes {one['processor_ms']} ms with one worker in this process, and")
    lines.append(
        f"{one['batch_ms']} ms in an ordinary run; {own['plan_ms'] + own['ms']:.2f} ms of it are the driver's,"
    )
    lines.append(f"of which planning {own['plan_ms']:.2f} ms (load {one['load_1min']:.0f}: the difference counts).")
    versions, machine = result["versions"], result["machine"]
    ray = f"Ray {versions.get('ray', 'not run')}"
    foot = f"{result['date'][:10]}, {machine.get('cpu', '')}, {machine['cores']} cores, {ray}"
    return (
        "\n".join([*lines, "", f"{foot}; each file costs {result['cost_s']} s in the engine. `{result['command']}`"])
        + "\n"
    )


def write_table(results: Path) -> None:
    """The table of docs/scale.md, from the JSON of a run."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    text = table(json.loads(results.read_text(encoding="utf-8")))
    write_text(PAGE, before + BEGIN + text + END + rest.split(END)[1])
