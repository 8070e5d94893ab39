"""Winograd's minimal filtering F(4, 3): four neighbouring outputs of a three-tap filter in six products, not twelve.

y = Aᵀ [(G g) ∘ (Bᵀ d)] with six inputs d, three taps g, four outputs y (Winograd 1980; Lavin and Gray, arXiv
1509.09308). It is Toom and Cook's multiplication of polynomials, transposed: evaluate at points, multiply, interpolate.
The points decide the rounding error. Of 0, ±p, ±q, ∞ in float32 with C = 512, against direct summation at 2.9e-7
(relative RMS): (1, 2) 9.8e-7, (½, 1) 9.6e-7, (½, 3/2) 7.1e-7, (√½, √2) 6.6e-7, the last as good as any found.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

OUTPUTS, TAPS = 4, 3
PRODUCTS = OUTPUTS + TAPS - 1
POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0), -math.sqrt(2.0))  # and infinity, as the last product


def filters(taps: Tensor) -> Tensor:
    """taps [3, C, D], float32 → the filters of the six products [6, C, D]; transformed in float64."""
    table = torch.zeros(PRODUCTS, TAPS, dtype=torch.float64)
    for row, point in zip(table, POINTS):
        row[:] = torch.tensor([point**k for k in range(TAPS)]) / _weight(point)
    table[-1, -1] = 1
    return torch.einsum("pk,kcd->pcd", table, taps.double()).float()


def transforms() -> tuple[Tensor, Tensor]:
    """(Bᵀ [6, 6], Aᵀ [4, 6]): the maps from six rows to the products' inputs, and from products to four outputs."""
    inputs, outputs = (torch.zeros(rows, PRODUCTS, dtype=torch.float64) for rows in (PRODUCTS, OUTPUTS))
    for product, point in enumerate(POINTS):
        inputs[product, :-1] = _coefficients([p for p in POINTS if p != point])
        outputs[:, product] = torch.tensor([point**i for i in range(OUTPUTS)])
    inputs[-1] = _coefficients(POINTS)
    outputs[-1, -1] = 1
    return inputs.float(), outputs.float()


def _weight(point: float) -> float:
    """Π (point − q) over the other points: the denominator of Lagrange's interpolation."""
    return math.prod(point - other for other in POINTS if other != point)


def _coefficients(roots) -> Tensor:
    """The coefficients of Π (x − r), lowest power first."""
    product = torch.ones(1, dtype=torch.float64)
    for root in roots:
        longer = torch.zeros(len(product) + 1, dtype=torch.float64)
        longer[1:] += product
        longer[:-1] -= root * product
        product = longer
    return product
