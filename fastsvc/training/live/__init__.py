"""Voices for live conversion: networks with a short future learn the outputs of those that see all of it."""
