"""The documentation builds without a warning, and holds what it promises."""

import ast
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import discretizers
import filippov
import flows

NEEDED = ("sphinx", "sphinx_gallery", "numpydoc", "furo")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build a copy of the sources, so that nothing is written beside them; the gallery is not run."""
    for needed in NEEDED:
        pytest.importorskip(needed)
    work = tmp_path_factory.mktemp("docs")
    made = shutil.ignore_patterns("_build", "auto_*", "__pycache__", "sg_execution_times.rst")
    shutil.copytree(ROOT / "docs", work / "docs", ignore=made)
    shutil.copytree(ROOT / "gallery", work / "gallery", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "plot_gallery=0"]
    done = subprocess.run(
        [*command, "-b", "html", str(work / "docs"), str(work / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return work / "html"


@pytest.mark.parametrize("package", [filippov, flows, discretizers])
def test_every_public_name_has_a_page(site, package):
    for name in package.__all__:
        module = getattr(getattr(package, name), "__module__", package.__name__)
        pages = list((site / "auto_api").glob(f"*.{name}.html"))
        assert pages, f"{package.__name__}.{name} (from {module}) has no page"


def test_every_gallery_script_has_a_page(site):
    scripts = sorted((ROOT / "gallery").glob("plot_*.py"))
    assert len(scripts) >= 20
    for script in scripts:
        text = (site / "auto_gallery" / f"{script.stem}.html").read_text(encoding="utf-8")
        title = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).splitlines()[0]
        assert re.sub(r"\W", "", title) in re.sub(r"\W", "", text)


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.names = [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("id"):
            self.names.add(given["id"])
        for key in ("href", "src"):
            if given.get(key):
                self.links.append(given[key])


def test_internal_links_lead_somewhere(site):
    pages = {}
    for path in site.rglob("*.html"):
        parser = _Links()
        parser.feed(path.read_text(encoding="utf-8"))
        pages[path.resolve()] = parser
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link):
                continue  # another host, or data within the page
            target, _, anchor = link.partition("#")
            file = (path.parent / target.partition("?")[0]).resolve() if target else path
            assert file.exists(), f"{path.name} links to {link}"
            if anchor and file in pages:
                assert anchor in pages[file].names, f"{path.name} links to {link}"
            checked += 1
    assert checked > 1000


def test_code_of_the_guide_runs():
    """The python blocks of each page run together, apart from the line that is shown to raise."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    for page in sorted((ROOT / "docs").rglob("guide/*.rst")) + [ROOT / "docs" / "quickstart.rst"]:
        names: dict[str, object] = {}
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text):
            lines = [line[3:] for line in block.split("\n") if "# raises" not in line]
            exec(compile("\n".join(lines), page.name, "exec"), names)
    plt.close("all")
