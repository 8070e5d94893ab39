"""Ways to store an engine's weights: the words of `fastsvc build --store` and of the manifest."""

STORES = ("float", "int8")  # as the engine's precision says, or in eight bits
