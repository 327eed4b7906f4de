"""The gallery: every script has a title, runs without a display, draws, and is installed with the packages."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "gallery").glob("plot_*.py"))
# Tuning runs and every scheme at once; still seconds.
SLOW = {"plot_figure_11_breast_cancer"}


def _parameters() -> list[object]:
    return [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW)) for path in SCRIPTS
    ]


@pytest.fixture(autouse=True)
def _no_display():
    plt.switch_backend("Agg")
    plt.close("all")
    yield
    plt.close("all")


def test_every_figure_and_table_of_the_paper_is_there():
    text = " ".join(
        (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0] for path in SCRIPTS
    )
    for part in (
        "Figure 1:",
        "Figure 2:",
        "Figure 3:",
        "Figure 4:",
        "Figure 5:",
        "Figure 6:",
        "Figures 7 and 8:",
    ):
        assert part in text
    for part in ("Figures 9 and 10:", "Figure 11:", "Table 1:", "Table 2:"):
        assert part in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_form_of_a_script(path):
    """Sphinx-gallery's form: a title with its underline, a paragraph, blocks of prose; nothing saved or shown."""
    source = path.read_text(encoding="utf-8")
    lines = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    assert lines[1] == "=" * len(lines[0])
    assert lines[2] == ""
    assert len(" ".join(lines[3:])) > 80
    assert "\n# %%\n" in source
    assert "savefig" not in source
    assert "plt.show" not in source


@pytest.mark.parametrize("path", _parameters())
def test_a_script_runs_and_draws(path, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    figures = [plt.figure(number) for number in plt.get_fignums()]
    assert figures
    assert all(axes.has_data() for figure in figures for axes in figure.axes)
    assert capsys.readouterr().out.strip()
    assert list(tmp_path.iterdir()) == []


def test_all_packages_are_installed():
    """Their list in pyproject.toml is written by hand, so that gallery/ can have a name of its own."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    # Read by hand: the standard library parses TOML from Python 3.11 on.
    (names,) = re.findall(r"^packages = (\[\n.*?^\])", project, re.DOTALL | re.MULTILINE)
    listed = set(ast.literal_eval(names))
    found = {
        ".".join(folder.relative_to(ROOT).parts)
        for top in ("filippov", "flows", "discretizers")
        for folder in [init.parent for init in (ROOT / top).rglob("__init__.py")]
    }
    assert listed == found | {"filippov_gallery"}
    assert '[tool.setuptools.package-dir]\nfilippov_gallery = "gallery"\n' in project
    assert (ROOT / "gallery" / "__init__.py").is_file()
