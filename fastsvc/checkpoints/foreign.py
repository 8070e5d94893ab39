"""Checkpoints of other networks in this field: errors name the network and say what can be built."""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints import vits
from fastsvc.errors import CheckpointError
from fastsvc.reading import wrappers

SUPPORTED = "RVC v1 and v2, CoMoSVC, Diffusion-SVC v1, so-vits-svc 4.1 diffusion, DDSP-SVC 3 and 6"
SUPPORTED += ", Amphion DiffComoSVC, and fastsvc's own"
BUILT = f"what can be built: {SUPPORTED}"


def refusal(content: dict, path: Path) -> CheckpointError:
    """The error for a file that no reader recognises."""
    names = [wrappers.bare(name).removeprefix("model.") for name in _names(content)]
    relative = vits.refusal(content, names, path, BUILT)
    if relative:
        return relative
    name = _name(content, names)
    if name:
        return CheckpointError(f"{path} is {name}, a different network", BUILT)
    keys = ", ".join(sorted(map(str, content))[:8])
    return CheckpointError(f"{path} is of no known format (its keys: {keys})", BUILT)


def _name(content: dict, names: list[str]) -> str | None:
    keys = set(map(str, content))

    def any_starts(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in names)

    parts = {"cfm", "length_regulator"}
    if ("net" in keys and any_starts("cfm.", "length_regulator.")) or parts & set(_tops(content, "net")):
        return "a model of Seed-VC (diffusion transformer)"
    if any_starts("reflow_model."):
        return "a model of DDSP-SVC with a rectified flow over another network than that of 6.0 and 6.1"
    if any_starts("ddsp_model.") or any_starts("diff_model."):
        return "a model of DDSP-SVC 4 or 5 (a DDSP synthesiser with a diffusion behind it)"
    if any_starts("unit2ctrl."):
        return "a model of DDSP-SVC's synthesiser"
    if any_starts("decoder.denoise_fn.", "decoder.velocity_fn."):
        return "a model of Diffusion-SVC v2 (another network behind the same names)"
    if any_starts("stack.", "dense_out.") and any_starts("unit_embed.", "f0_embed."):
        return "the naive model of Diffusion-SVC (no diffusion)"
    if any_starts("conv_pre.") and any_starts("ups.") and any_starts("resblocks."):
        return "a HiFi-GAN without a harmonic source"
    if any_starts("fs2.", "variance_adaptor.") or {"category", "state_dict"} <= keys:
        return "a model of DiffSinger"
    return None


def _names(content: dict) -> list[str]:
    """Parameter names, under any of the keys that such files use."""
    for key in ("model", "weight", "net", "state_dict", "model_state_dict", "generator", "net_g", "ema"):
        inner = content.get(key)
        if isinstance(inner, dict) and inner:
            if all(isinstance(value, dict) for value in inner.values()):
                return [f"{part}.{name}" for part, state in inner.items() for name in list(state)[:500]]
            return list(map(str, inner))
    return list(map(str, content))


def _tops(content: dict, key: str) -> list[str]:
    inner = content.get(key)
    return list(map(str, inner)) if isinstance(inner, dict) else []
