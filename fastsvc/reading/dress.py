"""The same weights as other programs wrap them: under other keys, behind prefixes, as the file itself.

DataParallel and DistributedDataParallel put `module.` before every name, torch.compile `_orig_mod.`, FSDP, Lightning
and people's own trainers more, one inside another; converters drop everything but the tensors. What a file is, is told
by its tensors' names behind all that (:data:`MARKS`), never by the key that they stand under.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARKS = {  # family: a name that every checkpoint of it has, and no other network
    "unit2mel": re.compile(r"decoder\.denoise_fn\.residual_layers\.\d+\.dilated_conv\."),
    "amphion": re.compile(r"1\.decoder\.denoise_fn\."),
    "own": re.compile(r"denoiser\.residual_layers\.\d+\.dilated_conv\."),
    "vocoder": re.compile(r"(?:m_source\.l_linear|noise_convs\.\d+|source_conv)\.weight"),
    "fairseq": re.compile(r"feature_extractor\.conv_layers\.\d+\.0\."),
    "huggingface": re.compile(r"(?:hubert\.)?feature_extractor\.conv_layers\.\d+\.conv\."),
}
# Parts of names that wrappers add, wherever they stand: no network here has such a part of its own.
WRAPPERS = {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# What trainers call the network that they hold, as keys or as the beginning of names; the likeliest first.
HOLDERS = ("model", "state_dict", "model_state_dict", "generator", "net_g", "net", "network", "model_gen", "weight")
HOLDERS += ("weights", "params", "gen", "netG", "model_g", "net_g_state_dict", "student")
HOLDERS += ("diffusion", "acoustic", "svc", "vocoder", "hubert_model", "online_model", "teacher")
AVERAGED = re.compile(r"(?:^|_)(?:ema|averaged|swa|shadow)(?:_|$)", re.IGNORECASE)
_PREFIX = re.compile(rf"(?:(?:{'|'.join(HOLDERS)}|\w{{0,16}}ema\w{{0,16}})\.){{0,8}}")
DEPTH, MAPPINGS, NAME, SETS = 4, 10_000, 500, 16  # nested mappings, mappings, characters of a name, sets in one mapping
COUNTER = "n_averaged"  # torch's AveragedModel keeps it beside the weights
LONGEST = 200  # characters of a stranger's name in a message
OTHERS = ("generator_state_dict",)  # Amphion's vocoders, which are other networks


class Twice(ValueError):
    """Two names are one behind their wrappers."""


@dataclass(frozen=True)
class Weights:
    """``state``: values by bare name; ``keys`` lead to them in the file; ``prefix`` was before each name."""

    family: str
    state: dict[str, object]
    keys: tuple[str, ...]
    prefix: str
    wrapped: bool

    @property
    def averaged(self) -> bool:
        return any(AVERAGED.search(part) for part in (*self.keys, *self.prefix.split(".")))

    @property
    def rank(self) -> int:
        """The likeliest place first."""
        held = [*self.keys, *self.prefix.split(".")[:-1]]
        return min((HOLDERS.index(part) for part in held if part in HOLDERS), default=-1)

    def __str__(self) -> str:
        place = ".".join(self.keys) or "the file itself"
        without = f"names behind {self.prefix}" if self.prefix else ""
        wrapped = "wrappers' parts left out of names" if self.wrapped else ""
        return ", ".join(part[:LONGEST] for part in (place, without, wrapped) if part)


def bare(name: str) -> str:
    """A tensor's name without the parts that wrappers added."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def unwrapped(state: dict) -> dict:
    """The values by :func:`bare` names. Raises Twice, naming both of two that would be one."""
    names: dict = {}
    for name in state:
        short = bare(name) if isinstance(name, str) else name
        first = names.setdefault(short, name)
        if first != name:
            raise Twice(f"{first[:LONGEST]} and {name[:LONGEST]} are one name behind their wrappers")
    return {short: state[name] for short, name in names.items()}


def find(content: dict, marks: dict[str, re.Pattern] = MARKS) -> list[Weights]:
    """Every set of weights of a known family, wherever it is: the families in their order, averages apart. Raises
    Twice."""
    found = [weights for keys, state in _mappings(content) for weights in _in(state, keys, marks)]
    order = list(marks)
    return sorted(found, key=lambda one: (order.index(one.family), one.averaged, one.rank, len(one.keys)))


def _mappings(content: dict) -> Iterator[tuple[tuple[str, ...], dict]]:
    """(keys that lead there, mapping), the file itself first."""
    waiting, left = [((), content)], MAPPINGS
    for keys, mapping in waiting:
        yield keys, mapping
        if len(keys) < DEPTH:
            inner = [((*keys, k), v) for k, v in mapping.items() if isinstance(v, dict) and isinstance(k, str)]
            inner = [one for one in inner if one[0][-1] not in OTHERS]
            waiting += inner[:left]
            left = max(0, left - len(inner))


def _in(state: dict, keys: tuple[str, ...], marks: dict[str, re.Pattern]) -> Iterator[Weights]:
    """The sets of weights in one mapping: one a family and prefix."""
    found: set[tuple[str, str]] = set()
    short = {name: bare(name) for name in state if isinstance(name, str) and len(name) <= NAME}
    for name in short.values():
        prefix = _PREFIX.match(name)[0]
        for family, mark in marks.items():
            for start in _starts(prefix):
                if mark.match(name, len(start)) and len(found) < SETS:
                    found.add((family, start))
    if not found:
        return
    plain = unwrapped({name: value for name, value in state.items() if keys or _kept(name, value)})
    others = {prefix for _, prefix in found}
    for family, prefix in sorted(found):
        apart = tuple(other for other in others if other != prefix and other.startswith(prefix))
        own = {name: value for name, value in plain.items() if str(name).startswith(prefix)}
        if apart:
            own = {name: value for name, value in own.items() if not str(name).startswith(apart)}
        own = {name[len(prefix) :] if prefix else name: value for name, value in own.items() if name != COUNTER}
        yield Weights(family, own, keys, prefix, any(short[name] != name for name in short))


def _starts(prefix: str) -> list[str]:
    """The beginnings of a prefix that may be one: all of it, and all but its last parts."""
    parts = prefix.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts), -1, -1)]


def _kept(name, value) -> bool:
    """In the file itself, counters and settings stand beside the tensors."""
    return isinstance(name, str) and ("." in name or hasattr(value, "dtype")) and not isinstance(value, dict)
