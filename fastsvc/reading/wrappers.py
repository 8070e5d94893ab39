"""Weights as other programs wrap them: under other keys, behind prefixes, or as the file itself.

DataParallel and DistributedDataParallel put `module.` before every name, torch.compile `_orig_mod.`, FSDP, Lightning
and people's own trainers more, one inside another; converters drop everything but the tensors. A file is recognised by
its tensors' names behind all prefixes (:data:`MARKS`), never by the key above them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARKS = {  # family: a name that every checkpoint of it has, and no other network
    "unit2mel": re.compile(r"decoder\.denoise_fn\.residual_layers\.\d+\.dilated_conv\."),
    "ddsp": re.compile(r"reflow_model\.velocity_fn\.residual_layers\.\d+\.(?:conformer|convmodule)\."),
    "amphion": re.compile(r"1\.decoder\.denoise_fn\."),
    "own": re.compile(r"denoiser\.residual_layers\.\d+\.dilated_conv\."),
    "vocoder": re.compile(r"(?:m_source\.l_linear|noise_convs\.\d+|source_conv)\.weight"),
    "fairseq": re.compile(r"feature_extractor\.conv_layers\.\d+\.0\."),
    "huggingface": re.compile(r"(?:hubert\.)?feature_extractor\.conv_layers\.\d+\.conv\."),
}
# Parts of names that wrappers add anywhere in a name: no network here has such a part itself.
WRAPPERS = {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# Trainers' names for the network that they hold, as keys or first parts of names; the likeliest first.
HOLDERS = ("model", "state_dict", "model_state_dict", "generator", "net_g", "net", "network", "model_gen", "weight")
HOLDERS += ("weights", "params", "gen", "netG", "model_g", "net_g_state_dict", "student")
HOLDERS += ("diffusion", "acoustic", "svc", "vocoder", "hubert_model", "online_model", "teacher")
AVERAGED = re.compile(r"(?:^|_)(?:ema|averaged|swa|shadow)(?:_|$)", re.IGNORECASE)
_PREFIX = re.compile(rf"(?:(?:{'|'.join(HOLDERS)}|\w{{0,16}}ema\w{{0,16}})\.){{0,8}}")
DEPTH, MAPPINGS, NAME, SETS = 4, 10_000, 500, 16  # nested mappings, mappings, characters of a name, sets in one mapping
COUNTER = "n_averaged"  # torch's AveragedModel keeps it beside the weights
LONGEST = 200  # characters of a stranger's name in a message
IGNORED_KEYS = ("generator_state_dict",)  # Amphion's vocoders, which are other networks


class DuplicateName(ValueError):
    """Two names are equal without their wrappers' parts."""


@dataclass(frozen=True)
class WeightSet:
    """``state``: values by bare name; ``keys``: the path to them in the file; ``prefix``: removed from each name."""

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
        """The position of the likeliest holder in :data:`HOLDERS`; -1: none."""
        parts = [*self.keys, *self.prefix.split(".")[:-1]]
        return min((HOLDERS.index(part) for part in parts if part in HOLDERS), default=-1)

    def __str__(self) -> str:
        location = ".".join(self.keys) or "the file itself"
        prefix = f"names behind {self.prefix}" if self.prefix else ""
        wrapped = "wrappers' parts left out of names" if self.wrapped else ""
        return ", ".join(part[:LONGEST] for part in (location, prefix, wrapped) if part)


def bare(name: str) -> str:
    """A tensor's name without wrappers' parts."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def unwrap(state: dict) -> dict:
    """The values by :func:`bare` names. Raises DuplicateName, with both names, where two become equal."""
    names: dict = {}
    for name in state:
        short = bare(name) if isinstance(name, str) else name
        first = names.setdefault(short, name)
        if first != name:
            raise DuplicateName(f"{first[:LONGEST]} and {name[:LONGEST]} are one name behind their wrappers")
    return {short: state[name] for short, name in names.items()}


def find_weights(content: dict, marks: dict[str, re.Pattern] = MARKS) -> list[WeightSet]:
    """Every set of weights of a known family, anywhere in ``content``, sorted by family, averages after plain weights.
    Raises DuplicateName."""
    sets = [weights for keys, state in _mappings(content) for weights in _in(state, keys, marks)]
    order = list(marks)
    return sorted(
        sets, key=lambda weights: (order.index(weights.family), weights.averaged, weights.rank, len(weights.keys))
    )


def _mappings(content: dict) -> Iterator[tuple[tuple[str, ...], dict]]:
    """(path of keys, mapping) of every mapping, the file itself first."""
    queue, remaining = [((), content)], MAPPINGS
    for keys, mapping in queue:
        yield keys, mapping
        if len(keys) < DEPTH:
            inner = [((*keys, k), v) for k, v in mapping.items() if isinstance(v, dict) and isinstance(k, str)]
            inner = [pair for pair in inner if pair[0][-1] not in IGNORED_KEYS]
            queue += inner[:remaining]
            remaining = max(0, remaining - len(inner))


def _in(state: dict, keys: tuple[str, ...], marks: dict[str, re.Pattern]) -> Iterator[WeightSet]:
    """The sets of weights in one mapping: one for each family and prefix."""
    marked: set[tuple[str, str]] = set()
    short = {name: bare(name) for name in state if isinstance(name, str) and len(name) <= NAME}
    for name in short.values():
        prefix = _PREFIX.match(name)[0]
        for family, mark in marks.items():
            for start in _starts(prefix):
                if mark.match(name, len(start)) and len(marked) < SETS:
                    marked.add((family, start))
    if not marked:
        return
    by_bare_name = unwrap({name: value for name, value in state.items() if keys or _is_tensor(name, value)})
    prefixes = {prefix for _, prefix in marked}
    for family, prefix in sorted(marked):
        inner_prefixes = tuple(other for other in prefixes if other != prefix and other.startswith(prefix))
        tensors = {name: value for name, value in by_bare_name.items() if str(name).startswith(prefix)}
        if inner_prefixes:
            tensors = {name: value for name, value in tensors.items() if not str(name).startswith(inner_prefixes)}
        tensors = {name[len(prefix) :] if prefix else name: value for name, value in tensors.items() if name != COUNTER}
        yield WeightSet(family, tensors, keys, prefix, any(short[name] != name for name in short))


def _starts(prefix: str) -> list[str]:
    """All leading parts of a prefix, the longest first."""
    parts = prefix.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts), -1, -1)]


def _is_tensor(name, value) -> bool:
    """Whether an entry of the file itself may be a tensor: counters and settings lie beside the tensors there."""
    return isinstance(name, str) and ("." in name or hasattr(value, "dtype")) and not isinstance(value, dict)
