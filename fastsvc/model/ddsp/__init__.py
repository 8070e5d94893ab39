"""DDSP-SVC 6 in plain PyTorch: source, control network, synthesis, velocity network and flow.

After the formulas of yxlllc/DDSP-SVC (MIT), versions 6.0 and 6.1. Names of parameters are those of its files, with
weight norm folded and what it does not use left out.
"""

from fastsvc.model.ddsp.model import DdspModel

__all__ = ["DdspModel"]
