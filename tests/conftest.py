import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when kernels are decorated, so before they are imported


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
