"""The report of a trajectory: one page, whole, true, and the same each time."""

import base64
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest

from filippov import PiecewiseSmooth, Trajectory, solve
from filippov.command import main
from filippov.drawing.report import report_html
from filippov.errors import InvalidInputError, InvalidTypeError
from flows import Quadratic, SignFlow

mpl.use("Agg")
FLOW = SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]]))
PATH = solve(FLOW, (0, 4), [1.0, -0.7])


class _Page(HTMLParser):
    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.pictures, self.outside, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        given = dict(attrs)
        if tag == "img":
            assert given["alt"]
            self.pictures.append(given["src"])
        self.outside += [
            given[key] for key in ("href", "src") if key in given and not given[key].startswith("data:")
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_and_refers_to_nothing_outside():
    text = report_html(PATH, title="x < y & z")
    page = _Page(text)
    assert page.open == []
    assert page.outside == []
    assert not re.search(r"url\(|@import|<script", text)
    assert "x < y & z" in page.words  # escaped in the source
    assert "x < y" not in text
    for source in page.pictures:
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True)[:8] == b"\x89PNG\r\n\x1a\n"
    # Time series, ribbon, phase plane.
    assert len(page.pictures) == 3


@pytest.fixture(scope="module")
def text():
    return report_html(PATH)


def test_every_switch_is_listed_to_all_digits(text):
    rows = re.findall(
        r'<tr><td class="number">(\d+)</td><td class="number">([^<]*)</td><td class="number">([^<]*)', text
    )
    assert [(int(k), float(t), kind) for k, t, kind in rows] == [
        (k, s.t, s.kind) for k, s in enumerate(PATH.switches, start=1)
    ]
    assert len(rows) > 0


def test_the_certificate_is_that_of_the_given_system(text):
    assert 'class="ok">holds' in text
    other = SignFlow(Quadratic([[2.0, -0.5], [-0.5, 1.0]]))
    assert 'class="bad">does not hold' in report_html(PATH, other)


def test_a_loaded_trajectory_says_that_nothing_was_checked(tmp_path):
    PATH.save(tmp_path / "a.npz")
    loaded = Trajectory.load(tmp_path / "a.npz")
    text = report_html(loaded)
    assert "Not checked" in text
    assert len(_Page(text).pictures) == 2


def test_three_states_have_a_picture_in_space_and_one_state_none():
    H = np.array([[2.0, 0.9, 0.3], [0.9, 1.5, -0.6], [0.3, -0.6, 1.2]])
    assert len(_Page(report_html(solve(SignFlow(Quadratic(H)), (0, 3), [1.0, -0.6, 0.3]))).pictures) == 3
    assert len(_Page(report_html(solve(SignFlow(Quadratic([[1.0]])), (0, 3), [1.0]))).pictures) == 2


def test_a_general_system_and_a_run_without_switches():
    system = PiecewiseSmooth(
        lambda t, x: [x[0]], {1: lambda t, x: [1.0, 0.0], -1: lambda t, x: [1.0, 1.0]}, dim=2
    )
    page = report_html(solve(system, (0, 1), [0.5, 0.0]))
    assert "Switches (0)" in page
    assert "no switch" in page


def test_the_same_trajectory_gives_the_same_page_and_leaves_no_figure(text):
    import matplotlib.pyplot as plt

    plt.close("all")
    assert report_html(PATH) == text
    assert plt.get_fignums() == []


def test_bad_arguments_are_named():
    with pytest.raises(InvalidTypeError, match="trajectory must be"):
        report_html("a.npz")
    with pytest.raises(InvalidTypeError, match="system must be"):
        report_html(PATH, "flow")
    with pytest.raises(InvalidInputError, match="system must have 2 states, got 1"):
        report_html(PATH, SignFlow(Quadratic([[1.0]])))


def test_the_command(tmp_path, capsys):
    PATH.save(tmp_path / "a.npz")
    out = tmp_path / "new" / "page.html"
    common = ["report", str(tmp_path / "a.npz"), "--out", str(out)]
    with pytest.raises(SystemExit) as done:
        main([*common, "--source", "x**2 + x*y/2 + y**2/2"])
    assert not done.value.code
    assert str(out) in capsys.readouterr().out
    assert 'class="ok">holds' in out.read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as failed:
        main([*common, "--source", "x**2 + y**2", "--ode", "x' = 1"])
    assert failed.value.code == 1
    assert "must not both be given" in capsys.readouterr().err
    with pytest.raises(SystemExit) as failed:
        main([*common, "--source", "x**2 + y**2 + z**2"])
    assert failed.value.code == 1
    assert "x0 must" in capsys.readouterr().err


def test_the_command_with_equations(tmp_path):
    from filippov import from_sympy

    solve(from_sympy(["v", "-x - sign(v)/2"], ["x", "v"]), (0, 8), [1.7, 0.0]).save(tmp_path / "a.npz")
    common = ["report", str(tmp_path / "a.npz"), "--out", str(tmp_path / "a.html"), "--ode"]
    for equations, verdict in (
        ("x' = v; v' = -x - sign(v)/2", "holds"),
        ("x' = v; v' = -x - sign(v)", "does not hold"),
    ):
        with pytest.raises(SystemExit) as done:
            main([*common, equations])
        assert not done.value.code
        assert f">{verdict}<" in (tmp_path / "a.html").read_text(encoding="utf-8")
