"""One thread a process; the exact reference solvers of tests/reference importable from every test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before numpy is imported: tests run in several processes, which are not to have several threads each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "reference"))
