"""A plugin, and a module to import first: the packages that a bare GPU machine lacks are not found."""

import os
import sys

ABSENT = {"soundfile", "librosa", "soxr", "yaml", "tqdm", "scipy", "matplotlib", "transformers", "nvtx", "tensorboard"}
if os.environ.get("WITHOUT_TRITON"):
    ABSENT.add("triton")


class Lacking:
    """A finder of modules that overlooks some."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT or not hasattr(self.finder, "find_spec"):
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = [Lacking(finder) for finder in sys.meta_path]
