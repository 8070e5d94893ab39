"""The tests that compare numbers, once for each set of instructions that this processor has: `make test-isa`.

Arguments go on to pytest. Linux on x86 alone, where /proc/cpuinfo says what there is.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMPARES = re.compile(
    r"\brelative(_rms)?\b|allclose\(|assert_close\(|difference\(|\.abs\(\)\.max\(\)|loss|off\(|gpu_(pairs|engines)\b"
)
# By name: what the processor must have, and what PyTorch, oneDNN and MKL are told. They choose sums' order by these.
CAPS = {
    "default": ((), {}),
    "AVX2": (
        ("avx2", "fma"),
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    ),
    "AVX-512": (
        ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
        {
            "ATEN_CPU_CAPABILITY": "avx512",
            "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI",
            "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        },
    ),
    "AMX": (
        ("amx_tile", "amx_bf16", "amx_int8"),
        {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"},
    ),
}


def flags() -> set[str]:
    """The processor's instructions, by the names of Linux; none elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}


def lacking(name: str, found: set[str]) -> list[str]:
    """What the processor lacks for a cap."""
    return [flag for flag in CAPS[name][0] if flag not in found]


def numeric() -> list[str]:
    """The files of tests that compare numbers, by what they call."""
    files = sorted(HERE.glob("test_*.py"))
    return [str(file) for file in files if COMPARES.search(file.read_text(encoding="utf-8"))]


def main(arguments: list[str]) -> int:
    found, failed = flags(), []
    for name, (_, variables) in CAPS.items():
        without = lacking(name, found)
        if without:
            print(f"== {name}: skipped, this processor has no {', '.join(without)}", flush=True)
            continue
        print(f"== {name}: {' '.join(f'{k}={v}' for k, v in variables.items()) or 'as it is'}", flush=True)
        command = [sys.executable, "-m", "pytest", *arguments, *numeric()]
        if subprocess.run(command, env={**os.environ, **variables}).returncode:
            failed.append(name)
    print(f"== failed under {', '.join(failed)}" if failed else "== all passed", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
