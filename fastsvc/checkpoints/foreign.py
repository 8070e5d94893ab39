"""Files of this field that hold a different network: named as what they are, with what to do."""

from __future__ import annotations

from pathlib import Path

from fastsvc.errors import CheckpointError
from fastsvc.reading import wrappers

KNOWN = "CoMoSVC, Diffusion-SVC v1, so-vits-svc 4.1 diffusion, DDSP-SVC 3, Amphion DiffComoSVC, and fastsvc's own"
BUILT = f"what can be built: {KNOWN}"


def refusal(content: dict, path: Path) -> CheckpointError:
    """The error for a file that no reader takes."""
    name = _name(content)
    if name:
        return CheckpointError(f"{path} is {name}, a different network", BUILT)
    keys = ", ".join(sorted(map(str, content))[:8])
    return CheckpointError(f"{path} is of no known format (its keys: {keys})", BUILT)


def _name(content: dict) -> str | None:
    keys = set(map(str, content))
    names = [wrappers.bare(name).removeprefix("model.") for name in _names(content)]

    def some(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in names)

    if {"weight", "config"} <= keys and {"f0", "version", "sr"} & keys:
        return "a voice of RVC (VITS)"
    parts = {"cfm", "length_regulator"}
    if ("net" in keys and some("cfm.", "length_regulator.")) or parts & set(_tops(content, "net")):
        return "a model of Seed-VC (diffusion transformer)"
    if some("reflow_model."):
        return "a model of DDSP-SVC 6 (reflow on another network)"
    if some("ddsp_model.") or some("diff_model."):
        return "a model of DDSP-SVC 4 or 5 (a DDSP synthesiser with a diffusion behind it)"
    if some("unit2ctrl."):
        return "a model of DDSP-SVC's synthesiser"
    if some("enc_p.", "emb_g.") and some("dec.", "flow."):
        return "a VITS generator of so-vits-svc or RVC (its shallow diffusion model could be built)"
    if some("decoder.denoise_fn.", "decoder.velocity_fn."):
        return "a model of Diffusion-SVC v2 (another network behind the same names)"
    if some("stack.", "dense_out.") and some("unit_embed.", "f0_embed."):
        return "the naive model of Diffusion-SVC (no diffusion)"
    if some("conv_pre.") and some("ups.") and some("resblocks."):
        return "a HiFi-GAN without a harmonic source"
    if some("fs2.", "variance_adaptor.") or {"category", "state_dict"} <= keys:
        return "a model of DiffSinger"
    return None


def _names(content: dict) -> list[str]:
    """Parameter names wherever such files keep them."""
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
