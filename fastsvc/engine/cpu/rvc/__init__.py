"""The acoustic part of RVC's voices on a CPU: text encoder, draw and flow over channels-last rows."""

from fastsvc.engine.cpu.rvc.sampler import RvcSampler

__all__ = ["RvcSampler"]
