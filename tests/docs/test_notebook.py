"""The tutorial's cells run from top to bottom, and its own assertions hold."""

import ast
import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_cells_run():
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")  # what other tests have left open
    names: dict[str, object] = {}
    shown = []
    for cell in CELLS:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, NOTEBOOK.name, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
            shown.append(type(value).__name__)
    figures = len(plt.get_fignums())
    plt.close("all")
    assert {"Trajectory", "Verification"} <= set(shown)
    assert figures == 3


def test_no_output_is_stored():
    # Stored outputs go stale and make differences unreadable.
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_it_runs_in_a_notebook_kernel(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [output.output_type for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "error" not in kinds
    html = [
        o.data["text/html"]
        for c in notebook.cells
        for o in c.get("outputs", [])
        if "text/html" in o.get("data", {})
    ]
    assert sum("<caption>" in text for text in html) >= 3
