"""The leaky ReLU inside kernels, in the type of its operand."""

from fastsvc.kernels.language import jit, tl


@jit
def leaky(x, SLOPE: tl.constexpr):
    """max(x, SLOPE·x), SLOPE ≤ 1; float16 is computed in pairs as float16, bfloat16 through float32."""
    if SLOPE == 1.0:
        return x
    if x.dtype == tl.bfloat16:
        value = x.to(tl.float32)
        return tl.maximum(value, value * SLOPE).to(tl.bfloat16)
    return tl.maximum(x, x * SLOPE)
