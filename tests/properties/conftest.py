"""Makes the shared modules of this folder importable, and sets how many examples hypothesis tries."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

# The same cases on every run; `pytest --hypothesis-profile=many` looks for new ones.
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "few", max_examples=12, derandomize=True, deadline=None, suppress_health_check=QUIET, database=None
)
settings.register_profile(
    "many", max_examples=1000, derandomize=False, deadline=None, suppress_health_check=QUIET
)
if settings._current_profile == "default":  # a profile asked for on the command line stays
    settings.load_profile("few")
