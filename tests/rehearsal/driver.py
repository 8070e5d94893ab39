"""cuda-bindings' driver for the stand-in GPU: loads what any process of a rehearsal has compiled, and interprets it."""

from __future__ import annotations

from ptx.faults import Faults
from ptx.stand_in_driver import Api, StandInDriver
from torch import Tensor

from fastsvc.build.cubins.compiler import Cubin
from fastsvc.engine.cuda.driver import bindings
from rehearsal import engine_kernels, kernels

INVALID_IMAGE = 200  # of CUresult


class SharedApi(Api):
    """Of a process; tensors that kernels were bound to are known, and kept, by their storages."""

    def __init__(self):
        super().__init__({}, Faults())

    def cuModuleLoadData(self, code: bytes):
        if code not in self.cubins:
            cubin = engine_kernels.by_code(code)
            if cubin is None:
                return (INVALID_IMAGE,)
            self.cubins[code] = cubin
        return 0, self.cubins[code]

    def start(self, function: Cubin, grid: tuple[int, ...], tensors: list[Tensor], values: list[int]) -> None:
        kernels.start(function, grid, tensors, values)


api = SharedApi()


def driver() -> StandInDriver:
    """Raises MissingPackageError where cuda-bindings is not found."""
    bindings()
    return StandInDriver(api)
