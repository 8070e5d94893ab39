"""The acoustic part of voices of DDSP-SVC 6 on a CPU: synthesiser and flow over channels-last rows."""

from fastsvc.engine.cpu.ddsp.sampler import DdspSampler

__all__ = ["DdspSampler"]
