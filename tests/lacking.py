"""A plugin, and a module to import first: the packages that a bare GPU machine lacks cannot be imported."""

import sys

ABSENT = {"soundfile", "librosa", "soxr", "yaml", "tqdm", "scipy", "matplotlib", "transformers", "nvtx", "tensorboard"}


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
