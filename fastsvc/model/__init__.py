"""The specification: every network in plain PyTorch, slow and obvious. All fast paths are tested against it."""
