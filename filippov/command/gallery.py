"""What `filippov gallery` does: list the gallery's scripts, or run one and save its pictures."""

from __future__ import annotations

import ast
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from filippov.errors import FilippovError, InvalidInputError
from filippov.storing.whole_files import replacing

__all__ = ["list_scripts", "run_script", "scripts"]

PACKAGE = "filippov_gallery"
"""The name under which the folder gallery/ is installed."""


def scripts() -> dict[str, Path]:
    """Return the gallery's scripts by name (plot_NAME.py), figures first.

    Raises
    ------
    FilippovError
        If the gallery is neither installed nor beside the sources.
    """
    paths = sorted(_folder().glob("plot_*.py"))
    return {path.stem.removeprefix("plot_"): path for path in paths}


def title_of(path: Path) -> str:
    """Return the first line of a script's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
    return text.splitlines()[0]


def list_scripts() -> None:
    """Print names and titles."""
    table = Table("name", "title", title="Gallery: filippov gallery NAME")
    for name, path in scripts().items():
        table.add_row(name, title_of(path))
    Console().print(table)


def run_script(name: str, out: Path, *, show: bool = False) -> None:
    """Run a script and save its figures as OUT/NAME.png, or NAME-1.png, NAME-2.png, ...

    Parameters
    ----------
    name : str
        A name that `list_scripts` shows, or the beginning of just one.
    out : Path
    show : bool
        Also open the figures in windows.
    """
    known = scripts()
    matching = [name] if name in known else [each for each in known if each.startswith(name)]
    if len(matching) != 1 or not name:
        hint = f", which fits {', '.join(matching)}" if name and matching else ""
        raise InvalidInputError(f"name must be one that `filippov gallery` lists, got {name!r}{hint}")

    import matplotlib.pyplot as plt

    if not show:
        plt.switch_backend("Agg")
    plt.close("all")
    arguments = sys.argv
    sys.argv = [str(known[matching[0]])]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = arguments
    figures = [plt.figure(number) for number in plt.get_fignums()]
    out.mkdir(parents=True, exist_ok=True)
    for k, figure in enumerate(figures, start=1):
        path = out / (f"{matching[0]}.png" if len(figures) == 1 else f"{matching[0]}-{k}.png")
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
        print(f"Wrote {path}")
    if show:
        plt.show()
    plt.close("all")


def _folder() -> Path:
    """Return the installed gallery, or that of a source checkout."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "gallery").is_dir():
        return checkout / "gallery"
    raise FilippovError("the gallery is not installed: install this project again")
