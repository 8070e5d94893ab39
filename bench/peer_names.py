"""Names of the engine's peers (bench/peers.py), in a file of their own: options are checked without PyTorch."""

PEERS = ("eager32", "eager16", "graphs", "compile")
SLOW = ("compile",)  # minutes until the first call
DESCRIPTIONS = {
    "eager32": "plain PyTorch, float32",
    "eager16": "plain PyTorch, float16",
    "graphs": "plain PyTorch, float16, one CUDA graph",
    "compile": 'torch.compile(mode="max-autotune"), float16',
}
