"""Training: one loop and one objective a file."""


def run(kind, config_path, resume=False, out=None):
    """See :func:`fastsvc.training.loop.run`; imported on call, since it needs PyTorch."""
    from fastsvc.training import loop

    return loop.run(kind, config_path, resume=resume, out=out)
