"""The command line: what it prints, the files it writes, and one line for each bad input."""

from __future__ import annotations

import csv
import json
import sys

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from filippov import Trajectory
from filippov.command import main

SLIDES = "(y - 0.2*x)**2/2 + x"


@pytest.fixture(autouse=True)
def _no_display():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def command(capsys):
    """Run a command line; return its exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as exit_:
            code = exit_.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


def is_picture(path) -> bool:
    pixels = matplotlib.image.imread(path)
    return min(pixels.shape[:2]) > 200 and float(np.ptp(pixels[..., :3])) > 0.5


def test_simulate_without_arguments_is_section_4_4(command, tmp_path):
    code, out, _ = command("simulate", "--out", tmp_path)
    assert code == 0
    assert "sliding-entry" in out
    assert "crossing" in out
    assert is_picture(tmp_path / "section-4.4.png")
    kinds = {}
    for a in ("0.5", "2"):
        kinds[a] = [
            switch.kind for switch in Trajectory.load(tmp_path / f"a={a}" / "trajectory.npz").switches
        ]
    assert "sliding-entry" in kinds["0.5"]
    assert kinds["2"][0] == "crossing"


def test_simulate_an_expression(command, tmp_path):
    """From y - 0.2 x = 0.34, s' = 0.2 - 1: the line is reached at 0.34 / 0.8 exactly."""
    code, out, _ = command("simulate", SLIDES, "--x0", "0.3,0.4", "--t", "2", "--out", tmp_path)
    assert code == 0
    path = Trajectory.load(tmp_path / "trajectory.npz")
    assert path.switches[0].t == pytest.approx(0.425, rel=1e-14)
    np.testing.assert_allclose(path.sol(2.0), [-1.7, -0.34], rtol=0, atol=1e-14)
    rows = list(csv.DictReader((tmp_path / "switches.csv").open()))
    assert [row["kind"] for row in rows] == [switch.kind for switch in path.switches]
    assert float(rows[0]["t"]) == path.switches[0].t
    assert is_picture(tmp_path / "trajectory.png")


@pytest.mark.slow
def test_simulate_a_data_set(command, tmp_path):
    pytest.importorskip("sklearn")
    code, out, _ = command("simulate", "breast-cancer", "--out", tmp_path)
    assert code == 0
    assert "Arrival" in out
    assert Trajectory.load(tmp_path / "trajectory.npz").dim == 30


def test_portrait(command, tmp_path):
    code, _, _ = command("portrait", SLIDES, "--starts", "2", "--out", tmp_path)
    assert code == 0
    assert is_picture(tmp_path / "portrait.png")


def test_verify_writes_what_it_measured(command, tmp_path):
    arguments = (
        "--schemes",
        "sign,proximal",
        "--steps",
        "0.1,0.05,0.025,0.0125",
        "--x0",
        "0.3,0.4",
        "--t",
        "2",
    )
    code, out, _ = command("verify", SLIDES, *arguments, "--out", tmp_path)
    assert code == 0
    assert "order" in out
    assert is_picture(tmp_path / "verify.png")
    report = json.loads((tmp_path / "verify.json").read_text())
    assert list(report["schemes"]) == ["sign", "proximal"]
    assert report["t_span"] == [0.0, 2.0]
    sign, proximal = report["schemes"].values()
    assert sign["steps"] == [0.1, 0.05, 0.025, 0.0125]
    # SignGD overshoots the line by less than |s'| h = 1.2 h, and then stays as near to it.
    assert all(
        0 < error <= 1.2 * h * (1 + 1e-9) for error, h in zip(sign["errors"], sign["steps"], strict=True)
    )
    # Every multiple of 0.025 and 0.0125 contains the only event, 0.425: no step has an event inside.
    assert max(proximal["errors"][2:]) <= 1e-12
    assert min(proximal["errors"][:2]) > 1e-3


@pytest.mark.parametrize(("norm", "scheme"), [("linf", "two-hit"), ("l1", "greedy"), ("l2", "normalized")])
def test_verify_every_norm_to_the_arrival(command, tmp_path, norm, scheme):
    """Without --t the span ends at the arrival, and the order is about 1."""
    code, _, _ = command("verify", "x**2 + y**2 + x*y", "--x0", "1,0.3", "--norm", norm, "--out", tmp_path)
    assert code == 0
    report = json.loads((tmp_path / "verify.json").read_text())
    assert report["schemes"][scheme]["order"] == pytest.approx(1.0, abs=0.3)
    # Unit speed: no arrival is earlier than the norm of the way, here the start itself.
    distance = {"linf": 1.0, "l1": 1.3, "l2": 1.09**0.5}[norm]
    assert report["t_span"][1] >= distance * (1 - 1e-12)


def test_verify_goes_on_when_a_scheme_fails(command, tmp_path):
    """The proximal step refuses a Hessian that is indefinite; SignGD runs."""
    arguments = ("--x0", "0.5,0.2", "--t", "0.1", "--steps", "0.02,0.01", "--schemes", "sign,proximal")
    code, out, _ = command("verify", "x**2 - y**2", *arguments, "--out", tmp_path)
    assert code == 0
    assert "proximal failed" in out
    report = json.loads((tmp_path / "verify.json").read_text())
    assert list(report["schemes"]) == ["sign"]
    assert "convex" in report["failed"]["proximal"]


def test_gallery_lists_names_with_titles(command):
    code, out, _ = command("gallery")
    assert code == 0
    assert "figure_01_sliding_and_crossing" in out
    assert "Figure 1: sliding and crossing" in out
    assert "table_2_objectives" in out


def test_gallery_runs_a_script_by_the_beginning_of_its_name(command, tmp_path):
    arguments = sys.argv
    code, out, _ = command("gallery", "figure_01", "--out", tmp_path)
    assert code == 0
    assert "sliding-entry" in out
    assert is_picture(tmp_path / "figure_01_sliding_and_crossing.png")
    assert sys.argv is arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", SLIDES), ("x0", "2")),
        (("simulate", SLIDES, "--x0", "1"), ("x0", "(2,)")),
        (("simulate", SLIDES, "--x0", "a,b"), ("x0", "'a,b'")),
        (("simulate", SLIDES, "--x0", "1,nan"), ("x0", "nan")),
        (("simulate", SLIDES, "--x0", "1,1", "--norm", "l3"), ("norm", "'l3'")),
        (("simulate", "breast-kancer"), ("breast-cancer", "'breast-kancer'")),
        (("simulate", "__import__('os')", "--x0", "1"), ()),
        (("portrait", "x**2"), ("expression", "1")),
        (("portrait", SLIDES, "--xlim", "1"), ("xlim", "1")),
        (
            ("verify", SLIDES, "--x0", "0.3,0.4", "--t", "2", "--schemes", "sign,greedy"),
            ("schemes", "'greedy'"),
        ),
        (("verify", SLIDES, "--x0", "0.3,0.4", "--t", "2", "--steps", "0.1,-1"), ("steps", "-1")),
        (("verify", SLIDES, "--x0", "0.3,0.4"), ("t must be given",)),
        (("verify", SLIDES, "--x0", "0.3,0.4", "--t", "2", "--norm", "none"), ("norm", "'none'")),
        (("gallery", "nothing"), ("name", "'nothing'")),
        (("gallery", "figure"), ("name", "figure_02_filippov_set")),
        (("gallery", ""), ("name",)),
    ],
)
def test_a_bad_input_is_one_line(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*arguments)
    assert code == 1
    assert err.startswith("filippov: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert list(tmp_path.iterdir()) == []
