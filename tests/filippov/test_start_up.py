"""What `import filippov` leaves for later."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["scipy.optimize", "scipy.integrate", "matplotlib", "sympy", "rich", "typer", "tqdm", "flows"]
)
def test_import_leaves_heavy_packages_for_their_use(module: str) -> None:
    code = f"import sys, filippov; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
