"""How many programs of a kernel one multiprocessor holds at once: by shared memory, registers and threads.

Registers go to warps in pieces, and every program takes a kilobyte of shared memory for the system (CUDA programming
guide, technical specifications by compute capability).
"""

from __future__ import annotations

from fastsvc.kernels.tiles import KIB, SHARED_BYTES, architecture

SYSTEM_BYTES = KIB  # of shared memory, a program
REGISTERS = 65536  # of one multiprocessor
PIECE = 8  # registers of a thread are a multiple of it
MOST_PROGRAMS = {86: 16, 87: 16, 89: 24, 120: 24, 121: 24}  # 32 elsewhere
MOST_WARPS = {86: 48, 87: 48, 89: 48, 120: 48, 121: 48}  # 64 elsewhere


def programs(shared_bytes: int, registers: int, warps: int, arch: int) -> int:
    """Programs of one multiprocessor at once; 0 where not even one fits."""
    arch = architecture(arch)
    by_shared = processor_bytes(arch) // (shared_bytes + SYSTEM_BYTES)
    by_registers = REGISTERS // (-(-registers // PIECE) * PIECE * 32 * warps)
    return min(by_shared, by_registers, MOST_WARPS.get(arch, 64) // warps, MOST_PROGRAMS.get(arch, 32))


def processor_bytes(arch: int) -> int:
    """Shared memory of one multiprocessor, where one program takes all that it may."""
    return SHARED_BYTES[architecture(arch)] + SYSTEM_BYTES
