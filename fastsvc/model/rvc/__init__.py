"""Voices of RVC (RVC-Project/Retrieval-based-Voice-Conversion-WebUI) from units and pitch to the generator's input.

A VITS (arXiv 2106.06103) whose text is units of speech: a text encoder gives mean and deviation of a latent, and a
coupling flow, run backwards for a speaker, turns a draw from it into what the generator (fastsvc/model/vocoder.py)
turns into audio. Written from the published description of the network; parameter names are those of its files.
"""

from fastsvc.model.rvc.model import RvcModel

__all__ = ["RvcModel"]
