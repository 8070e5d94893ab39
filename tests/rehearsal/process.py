"""One process of a rehearsal: what a lent machine lacks is not found, and PyTorch, once imported, has a GPU."""

from __future__ import annotations

from rehearsal import imports


def begin() -> None:
    imports.prepare(
        {
            "torch": _torch,
            "torch.profiler": _profiler,
            "triton.compiler.compiler": _triton,
            "fastsvc.build.cubins.compiler": _compiler,
            "fastsvc.engine.cuda.launcher": _launcher,
            "bench.timing": lambda module: setattr(module, "FLUSH_BYTES", 2**20),
            "bench.roofs": _roofs,
            "bench.peers": _peers,
            "bench.rvc_voices": _rvc_voices,
            "bench.conversion": _conversion,
            "bench.cold": _cold,
            "fastsvc.engine.buckets": _buckets,
            "bench.circumstances": _circumstances,
            "gpu_engines": _gpu_engines,
        }
    )


def _torch(module) -> None:
    from rehearsal import cuda, guard, operations

    guard.install()
    operations.install()
    cuda.install()


def _profiler(module) -> None:
    from rehearsal import profiler

    profiler.install(module)


def _triton(module) -> None:
    from rehearsal import triton_driver

    triton_driver.install(module)


def _compiler(module) -> None:
    from rehearsal import engine_kernels

    engine_kernels.compiling(module)


def _launcher(module) -> None:
    def driver():
        from rehearsal.driver import driver

        return driver()

    module.Driver = driver


def _roofs(module) -> None:
    module.SIDE["cuda"], module.COPY_BYTES["cuda"] = 128, 2**20


def _peers(module) -> None:
    def compiled(net):
        """PyTorch traces the network; code for a GPU needs one."""
        import torch

        return torch.compile(net, backend="eager", dynamic=False)

    module.compiled = compiled


def _rvc_voices(module) -> None:
    import functools

    module.make = functools.partial(module.make, small=True)


def _conversion(module) -> None:
    module.THROUGHPUT_FILES, module.THROUGHPUT_S = 2, 0.2


def _cold(module) -> None:
    module.AUDIO_S, module.measure.__defaults__ = 0.1, (0.1,)


def _buckets(module) -> None:
    module.FRAMES, module.BATCHES = (64, 128), (1, 2)
    module.EVEN_FRAMES, module.EVEN_BATCHES = (64,), (2, 1)


def _circumstances(module) -> None:
    from rehearsal import names

    names.circumstances(module)


def _gpu_engines(module) -> None:
    """Of the tests: a width at which an interpreter comes to an end."""
    from dataclasses import replace

    condition = replace(module.CONFIG.condition, channels=32)
    denoiser = replace(module.CONFIG.denoiser, channels=32, layers=3, cond_channels=32)
    module.CONFIG = replace(module.CONFIG, condition=condition, denoiser=denoiser)
