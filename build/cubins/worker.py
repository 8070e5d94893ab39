"""The process that compiles kernels: it reads [spec, architecture] pairs as JSON and prints one line for each cubin."""

from __future__ import annotations

import base64
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    for spec, arch in json.load(sys.stdin):
        print(json.dumps(compiled(spec, arch)), flush=True)


def compiled(spec: dict, arch: int) -> dict:
    """One kernel: its cubin (base64), PTX, registers, stack and shared memory in bytes, parameters."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module, name = spec["kernel"].split(":")
    kernel = getattr(importlib.import_module(module), name)
    signature = {**spec["signature"], **dict.fromkeys(spec["constants"], "constexpr")}
    if list(signature) != kernel.arg_names:
        raise AssertionError(f"{name} takes {kernel.arg_names}, not {list(signature)}")
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind.startswith("*")}
    source = ASTSource(kernel, signature, spec["constants"], aligned)
    result = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=spec["options"])
    if result.metadata.global_scratch_size:
        raise AssertionError(f"{name} needs global scratch memory, which the launcher does not provide")
    registers, stack = resources(result.asm["cubin"])
    return {
        "code": base64.b64encode(result.asm["cubin"]).decode(),
        "ptx": result.asm["ptx"],
        "name": result.metadata.name,
        "arch": arch,
        "shared": result.metadata.shared,
        "warps": result.metadata.num_warps,
        "registers": registers,
        "stack": stack,
        "parameters": list(spec["signature"].items()),
    }


def resources(cubin: bytes) -> tuple[int, int]:
    """(registers, bytes of stack) of one thread, by Triton's own cuobjdump."""
    import triton.backends.nvidia

    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        text = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    match = re.search(r"REG:(\d+) STACK:(\d+)", text)
    if match is None:
        raise RuntimeError(f"cuobjdump tells no registers: {text[:200]!r}")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    main()
