"""Noise levels of every sampler: the two Karras grids of CoMoSVC (como.py), and levels of the DDPM chain.

The grids are in float32 as in CoMoSVC: the first Euler level is then 79.99998 instead of 80. An Euler step from σ = 80
loses five digits to cancellation, so only the same rounding reproduces the checkpoints' own results.
"""

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig, DdpmConfig, EdmConfig
from fastsvc.errors import ConfigError


def karras(low: float, high: float, points: int, rho: float) -> Tensor:
    """``points`` levels from high down to low, evenly spaced in σ^(1/ρ) (EDM, arXiv 2206.00364, eq. 5)."""
    if points < 1:
        raise ConfigError(f"{points} steps were asked for", "ask for at least 1")
    fraction = torch.arange(points, dtype=torch.float32) / max(points - 1, 1)
    return (high ** (1 / rho) + fraction * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def consistency_sigmas(config: EdmConfig, steps: int) -> Tensor:
    """[steps] levels of the consistency sampler: a grid of steps + 1 points without its last, σmin.

    A student that was trained on its own levels (``few_steps``) has only those: ConfigError for other counts.
    """
    trained = {len(levels): levels for levels in config.few_steps}
    if trained:
        if steps not in trained:
            counts = ", ".join(map(str, sorted(trained)))
            raise ConfigError(f"{steps} steps: this student was trained only at {counts}", f"ask for {counts}")
        return torch.tensor(trained[steps])
    if steps == 1:
        return torch.tensor([config.sigma_max])
    return karras(config.sigma_min, config.sigma_max, steps + 1, config.rho)[:-1]


def euler_sigmas(config: EdmConfig, steps: int) -> Tensor:
    """[steps + 1] levels of the Euler sampler: i / steps over the grid, without its last point σmin, then 0.

    With euler_to_min σmin stays, so that there are [steps + 2].
    """
    karras(config.sigma_min, config.sigma_max, steps, config.rho)  # checks steps
    levels = karras(config.sigma_min, config.sigma_max, steps + 1, config.rho)
    levels = levels if config.euler_to_min else levels[:-1]
    return torch.cat([levels, levels.new_zeros(1)])


def chain_levels(config: DdpmConfig, steps: int, depth: int | None = None) -> Tensor:
    """[steps + 1] levels from depth − 1 to 0, evenly spaced: "time_uniform" of upstream's DPM-Solver and UniPC."""
    depth = config.timesteps if depth is None else depth
    if not 1 <= steps < depth:
        raise ConfigError(
            f"{steps} steps over {depth} places do not form a schedule", f"ask for 1 to {depth - 1} steps"
        )
    return torch.linspace(depth - 1, 0, steps + 1, dtype=torch.float64).float()


def levels(config: AcousticConfig, method: str, steps: int, depth: int | None = None) -> list[float]:
    """The levels that ``method`` visits in ``steps`` evaluations; all methods but "consistency" end on one more."""
    if config.ddpm is not None:
        return chain_levels(config.ddpm, steps, depth).tolist()
    return (consistency_sigmas if method == "consistency" else euler_sigmas)(config.edm, steps).tolist()


def evaluations(method: str, levels: list[float]) -> int:
    """How often the network runs in sequence; its receptive field grows by as many halos."""
    count = len(evaluated(method, levels))
    return 2 * count - 1 if method == "heun" else count


def evaluated(method: str, levels: list[float]) -> list[float]:
    """The levels of a schedule at which the network is evaluated."""
    return list(levels) if method == "consistency" else list(levels[:-1])
