"""A YAML loader for strangers' files: it counts the values that it builds, and stops at an absurd number."""

from __future__ import annotations

import functools

DEPTH, NODES, SCALAR = 32, 100_000, 100  # nodes, with aliases expanded; characters of a number or date
NUMBERS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


@functools.lru_cache(maxsize=2)
def loader(numbers: bool = False) -> type:
    """The loader's class; PyYAML is imported here. ``numbers``: see :func:`fastsvc.reading.parse_yaml`."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        """An alias costs as much as its value, so that nine lines cannot mean a billion values."""

        def __init__(self, stream):
            super().__init__(stream)
            self.depth = self.count = 0
            self.costs: dict[str, int | None] = {}  # values of anchors; None: the anchor's value has not ended yet

        def compose_node(self, parent, index):
            event = self.peek_event()
            if self.check_event(yaml.AliasEvent):
                cost = self.costs.get(event.anchor, 1)
                if cost is None:
                    raise yaml.composer.ComposerError(None, None, "a value contains itself", event.start_mark)
                self._spend(cost, event)
                return super().compose_node(parent, index)
            anchor, before = event.anchor, self.count
            if anchor is not None:
                self.costs[anchor] = None
            self._spend(1, event)
            self.depth += 1
            if self.depth > DEPTH:
                raise yaml.composer.ComposerError(None, None, f"it nests deeper than {DEPTH}", event.start_mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            if anchor is not None:
                self.costs[anchor] = self.count - before
            if node.tag in NUMBERS and len(node.value) > SCALAR:
                raise yaml.composer.ComposerError(None, None, f"a number of {len(node.value)} digits", event.start_mark)
            return node

        def compose_mapping_node(self, anchor):
            """Refuse a duplicate key: two readers may take different values."""
            node, seen = super().compose_mapping_node(anchor), set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (key.tag, key.value) in seen:
                    problem = f"it has the key {key.value[:60]!r} twice"
                    raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
                seen.add((key.tag, key.value))
            return node

        def _spend(self, cost: int, event) -> None:
            self.count += cost
            if self.count > NODES:
                problem = f"it holds more than {NODES} values"
                raise yaml.composer.ComposerError(None, None, problem, event.start_mark)

    if numbers:
        pattern = re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
        Loader.add_implicit_resolver("tag:yaml.org,2002:float", pattern, list("-+0123456789"))
    return Loader
