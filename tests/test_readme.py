"""Every Python block of the README runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block{i}" for i in range(len(BLOCKS))])
def test_block_runs(code: str, tmp_path: Path) -> None:
    if "breast_cancer" in code:
        pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"MPLBACKEND": "Agg"},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_there_are_exactly_two_setup_commands() -> None:
    assert len(re.findall(r"^```bash\n", README.read_text(encoding="utf-8"), flags=re.MULTILINE)) == 2
    assert len(BLOCKS) >= 4
