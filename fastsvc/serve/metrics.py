"""What the server counts, for Prometheus. Each server has its own registry."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

RTF_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """Names and meanings are the constructors' arguments below; docs say what to watch."""

    def __init__(self):
        self.registry = registry = CollectorRegistry()
        self.jobs = Counter("fastsvc_jobs", "Jobs that are over", ("state", "kind"), registry=registry)
        self.audio_seconds = Counter("fastsvc_audio_seconds", "Audio that was converted", registry=registry)
        self.rtf = Histogram(
            "fastsvc_real_time_factor", "Time of a conversion by audio", buckets=RTF_BUCKETS, registry=registry
        )
        self.queue = Gauge("fastsvc_queue_length", "Jobs that wait", registry=registry)
        self.running = Gauge("fastsvc_jobs_running", "Jobs in work", registry=registry)
        self.stages = Summary("fastsvc_stage_seconds", "Time of a stage of a conversion", ("stage",), registry=registry)
        self.waited = Summary("fastsvc_queue_seconds", "Time that a job waited", registry=registry)
        self.late = Counter("fastsvc_stream_late_blocks", "Blocks of live streams that came late", registry=registry)
        self.dropped = Counter("fastsvc_stream_dropped_samples", "Samples that were dropped", registry=registry)
        self.restarts = Counter("fastsvc_worker_restarts", "Workers started after one had died", registry=registry)
        self.engines = Gauge("fastsvc_resident_engines", "Engines in memory", registry=registry)
        self.bytes = Gauge("fastsvc_resident_bytes", "Memory of the worker processes", registry=registry)
        self.streams = Gauge("fastsvc_streams", "Live streams", registry=registry)

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Ask ``value`` whenever the gauge is read."""
        gauge.set_function(value)
