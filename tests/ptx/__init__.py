"""A PTX interpreter: what Triton compiles for sm_80 and sm_90, executed on a CPU by NumPy, every access checked.

What it sees and what it does not: docs/kernels.md, "Compiled code, executed".
"""
