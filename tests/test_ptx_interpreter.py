"""The PTX interpreter on kernels of a few lines: what instructions compute, and the faults that they can have."""

import numpy as np
import pytest
import torch
from ptx import accesses, copies, device_memory, kinds, shared_memory, warps
from ptx.device_memory import DeviceMemory
from ptx.faults import Faults, Unsupported
from ptx.machine import execute
from ptx.program import parse

HEAD = """
.version 8.0
.target sm_80
.extern .shared .align 16 .b8 global_smem[];
.visible .entry small(.param .u64 .ptr .global .align 1 small_param_0, .param .u32 small_param_1)
.reqntid %d
{
    .reg .pred %%p<9>; .reg .b16 %%rs<9>; .reg .b32 %%r<99>; .reg .b64 %%rd<9>;
    ld.param.b64 %%rd1, [small_param_0];
    ld.param.b32 %%r1, [small_param_1];
    mov.u32 %%r2, %%tid.x;
    mad.wide.u32 %%rd2, %%r2, 4, %%rd1; // where this thread's word is
"""


def run(body, words, number=0, threads=32, grid=(1, 1, 1), shared=1024):
    """(words [n] after ``body`` has run on them, faults)."""
    tensor, faults = torch.from_numpy(np.array(words).copy()), Faults()
    memory = DeviceMemory([tensor])
    values = [memory.address(tensor.data_ptr()), number]
    execute(parse(HEAD % threads + body + "\nret;\n}"), grid, values, shared, memory, faults)
    memory.store_back()
    return tensor.numpy(), faults.kinds


def each(instruction, x):
    """``instruction`` from %r3 (a word of x) to %r4, written back."""
    got, kinds = run(f"ld.global.b32 %r3, [%rd2]; {instruction} st.global.b32 [%rd2], %r4;", x)
    assert not kinds
    return got


INTEGERS = np.array([0, 1, -1, 7, -7, 2**31 - 1, -(2**31), 12345678] * 4, np.int32)
FLOATS = np.array([0.0, 1.5, -1.5, 2.5, 1e30, -np.inf, np.nan, 0.3] * 4, np.float32)


INTEGER_CASES = {
    "add.s32 %r4, %r3, 0x7FFFFFFF;": lambda x: (x.astype(np.int64) + 2**31 - 1).astype(np.int32),
    "\n.loc 1 38 5, function_name $L__info_string0, inlined_at 1 57\nadd.s32 %r4, %r3, 7;": lambda x: x + np.int32(7),
    "shr.s32 %r4, %r3, 40;": lambda x: x >> 31,
    "shr.u32 %r4, %r3, 40;": lambda x: 0 * x,
    "shl.b32 %r4, %r3, 4;": lambda x: x << 4,
    "mul.hi.s32 %r4, %r3, %r3;": lambda x: (x.astype(np.int64) ** 2 >> 32).astype(np.int32),
    "div.s32 %r4, %r3, -2;": lambda x: np.trunc(x / -2.0).astype(np.int64).astype(np.int32),
    "rem.s32 %r4, %r3, 4;": lambda x: np.fmod(x, 4),
    "bfe.s32 %r4, %r3, 1, 2;": lambda x: (x << 29) >> 30,
    "bfe.u32 %r4, %r3, 1, 2;": lambda x: (x >> 1) & 3,
    "setp.lt.u32 %p1, %r3, 7; selp.b32 %r4, 5, 6, %p1;": lambda x: np.where((x >= 0) & (x < 7), 5, 6),
    "mov.b32 {%rs1, %rs2}, %r3; mov.b32 %r4, {%rs2, %rs1};": lambda x: (x << 16) | ((x >> 16) & 0xFFFF),
}
TO_PAIR = "cvt.rn.f16x2.f32 %r5, %r3, 0f3F800000; shr.u32 %r6, %r5, 16; cvt.u16.u32 %rs1, %r6;"
FLOAT_CASES = {
    "max.f32 %r4, %r3, 0f00000000;": lambda x: np.fmax(x, 0),
    "max.NaN.f32 %r4, %r3, 0f00000000;": lambda x: np.maximum(x, 0),
    "cvt.rzi.s32.f32 %r5, %r3; cvt.rn.f32.s32 %r4, %r5;": lambda x: np.trunc(np.nan_to_num(x).clip(-(2**31), 2**31)),
    "cvt.rmi.f32.f32 %r4, %r3;": np.floor,
    "cvt.rn.f16.f32 %rs1, %r3; cvt.f32.f16 %r4, %rs1;": lambda x: x.astype(np.float16),
    f"{TO_PAIR} cvt.f32.f16 %r4, %rs1;": lambda x: x.astype(np.float16),
    "setp.ltu.f32 %p1, %r3, 0f00000000; selp.f32 %r4, 0f3F800000, 0f00000000, %p1;": lambda x: (x < 0) | np.isnan(x),
    "fma.rn.f32 %r4, %r3, %r3, 0fBF800000;": lambda x: (x.astype(np.float64) ** 2 - 1).astype(np.float32),
}


@pytest.mark.parametrize("instruction", INTEGER_CASES)
def test_integers(instruction):
    assert (each(instruction, INTEGERS) == INTEGER_CASES[instruction](INTEGERS)).all()


@pytest.mark.parametrize("instruction", FLOAT_CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_floats(instruction):
    expected = FLOAT_CASES[instruction](FLOATS).astype(np.float32)
    np.testing.assert_array_equal(each(instruction, FLOATS), expected)


def test_threads_part_and_meet_again():
    """Each thread counts to its own number; then a barrier that all reach, and a sum over lanes."""
    body = """
    mov.b32 %r4, 0;
$loop:
    setp.ge.u32 %p1, %r4, %r2;
    @%p1 bra $out;
    add.s32 %r4, %r4, 1;
    bra.uni $loop;
$out:
    bar.sync 0;
    shfl.sync.bfly.b32 %r5, %r4, 1, 31, -1;
    @!%p1 mov.b32 %r5, 0;
    st.global.b32 [%rd2], %r5;
    """
    got, kinds = run(body, np.zeros(64, np.int32), threads=64)
    assert not kinds and (got == (np.arange(64) ^ 1)).all()


def test_a_warps_product():
    """A of ones but for its last column, B of tens in its first row: by the fragments of the PTX ISA."""
    lanes = np.arange(32)
    body = """
    mov.b32 %r10, %r3; mov.b32 %r11, %r3; mov.b32 %r12, %r3; mov.b32 %r13, %r3;
    mov.b32 %r20, 0f00000000;
    mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r30, %r31, %r32, %r33},
        {%r10, %r11, %r12, %r13}, {%r10, %r11}, {%r20, %r20, %r20, %r20};
    add.f32 %r4, %r30, %r33;
    """
    halves = np.stack([lanes % 5, lanes % 7], 1).astype(np.float16)
    got = each(body, halves.view(np.int32)[:, 0]).view(np.float32)
    part = np.zeros((8, 8), np.float32)  # of every 8 × 8 block: row t // 4, columns 2 (t % 4) and the next
    part[lanes // 4, 2 * (lanes % 4)], part[lanes // 4, 2 * (lanes % 4) + 1] = halves.T
    a, b = np.block([[part, part], [part, part]]), np.concatenate([part, part], 1).T
    product = a @ b
    assert (got == product[lanes // 4, 2 * (lanes % 4)] + product[lanes // 4 + 8, 2 * (lanes % 4) + 1]).all()


TALK = "shl.b32 %r3, %r2, 2; st.shared.b32 [%r3], %r2; {} xor.b32 %r4, %r3, {}; ld.shared.b32 %r5, [%r4];"
FAULTY = {
    "beyond": ("ld.global.b32 %r3, [%rd2+4];", 32, 1, {device_memory.PAST_BOUNDS}),
    "far beyond": ("ld.global.b32 %r3, [%rd2+-1073741824];", 32, 1, {device_memory.PAST_BOUNDS}),
    "misaligned": ("ld.global.b32 %r3, [%rd1+2];", 32, 1, {device_memory.UNALIGNED}),
    "two blocks": ("st.global.b32 [%rd2], %r2;", 32, 2, {device_memory.RACE}),
    "two warps": ("st.global.b32 [%rd1], %r2; ld.global.b32 %r4, [%rd1];", 64, 1, {device_memory.RACE}),
    "unwritten": ("ld.shared.b32 %r3, [%r1];", 32, 1, {shared_memory.UNWRITTEN}),
    "shared beyond": (
        "setp.eq.s32 %p1, %r2, 0; @%p1 st.shared.b32 [%r2+1024], %r2;",
        32,
        1,
        {shared_memory.PAST_BOUNDS},
    ),
    "no barrier": (TALK.format("", 128), 64, 1, {shared_memory.RACE}),
    "a barrier": (TALK.format("bar.sync 0;", 128), 64, 1, set()),
    "one warp needs none": (TALK.format("", 64), 64, 1, set()),
    "two warps at once": ("st.shared.b32 [%r1], %r2;", 64, 1, {shared_memory.RACE}),
    "one warp at once": ("st.shared.b32 [%r1], %r2;", 32, 1, set()),
    "part of a barrier": ("setp.lt.u32 %p1, %r2, 32; @%p1 bar.sync 0;", 64, 1, {warps.PARTIAL}),
    "a copy": ("cp.async.cg.shared.global [%r1], [%rd1], 16, 16; cp.async.commit_group;", 1, 1, {copies.UNAWAITED}),
    "a prefetch": ("prefetch.global.L2 [%rd1+1048576];", 32, 1, {accesses.PREFETCH}),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faults(name):
    body, threads, blocks, kinds = FAULTY[name]
    words = np.zeros(max(threads, 4), np.int32)
    assert run(body, words, threads=threads, grid=(blocks, 1, 1))[1] == kinds


def test_what_is_not_known_is_refused():
    with pytest.raises(Unsupported, match="tcgen05"):
        run("tcgen05.wait::ld.sync.aligned;", np.zeros(32, np.int32))
    with pytest.raises(Unsupported):
        run(".unknown 1\n add.s32 %r4, %r3, 7;", np.zeros(32, np.int32))
    with pytest.raises(Unsupported, match="some threads"):
        run("bar.sync 1, 64;", np.zeros(32, np.int32))


def test_bfloat16_rounds_to_even_and_keeps_nan():
    exact = torch.tensor([1.0, 1.00390625, 1.01171875, -3.14159, 1e30, float("inf")])
    ours = kinds.from_bfloat16(kinds.to_bfloat16(exact.numpy()))
    assert (ours == exact.bfloat16().float().numpy()).all()
    assert np.isnan(kinds.from_bfloat16(kinds.to_bfloat16(np.array([np.nan], np.float32))))
