import csv
import math
import re

import numpy as np
import pytest

from filippov import Relay, Trajectory, solve
from filippov.command import main
from filippov.command.ode import parse_ode
from filippov.errors import InvalidInputError

FRICTION = "x' = v; v' = -x - 1.2*sign(v - 1) + cos(0.8*t)"


def run(capsys, *arguments):
    """Run the command in this process; return (exit code, standard output, standard error)."""
    try:
        main(["simulate", *arguments])
        code = 0
    except SystemExit as end:
        code = end.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_dry_friction_is_solved_and_written(capsys, tmp_path):
    code, out, _ = run(capsys, "--ode", FRICTION, "--x0", "0,0", "--t", "20", "--out", str(tmp_path))
    assert code == 0
    by_hand = Relay(
        lambda t, z: np.array([z[1], -z[0] + math.cos(0.8 * t)]),
        lambda t, z: np.array([[0.0], [1.2]]),
        lambda t, z: [z[1] - 1.0],
    )
    expected = solve(by_hand, (0.0, 20.0), [0.0, 0.0])
    written = Trajectory.load(tmp_path / "trajectory.npz")
    assert np.allclose(written.y[:, -1], expected.y[:, -1], rtol=0, atol=1e-7)
    with (tmp_path / "switches.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == [s.kind for s in expected.switches]
    assert [float(row["t"]) for row in rows] == pytest.approx([s.t for s in expected.switches], abs=1e-7)
    assert (tmp_path / "trajectory.png").read_bytes().startswith(b"\x89PNG")
    assert "Certificate: ok" in out
    assert out.count("v - 1") >= len(rows)  # the table names the surfaces
    assert f"{expected.switches[0].t:.6f}"[:6] in out


@pytest.mark.parametrize("method", ["RK45", "LSODA", "Radau"])
def test_methods_and_tolerances_are_used(capsys, tmp_path, method):
    ends = []
    for rtol in ("1e-3", "1e-10"):
        arguments = ("--x0", "1,0", "--t", "3", "--method", method, "--rtol", rtol, "--atol", "1e-12")
        code, _, _ = run(capsys, "--ode", "x' = v; v' = -x", *arguments, "--out", str(tmp_path))
        assert code == 0
        ends.append(abs(Trajectory.load(tmp_path / "trajectory.npz").y[0, -1] - math.cos(3.0)))
    assert ends[1] < 1e-7
    assert ends[1] < 0.1 * ends[0] < 0.01


def test_equations_define_the_states_in_order():
    system = parse_ode(" b1' = Piecewise((1, t < 1), (-a, True)) ;\n a ' = max(b1, 0) - min(a, t);")
    assert system.dim == 2
    assert system.field(0.5, np.array([2.0, 7.0])).tolist() == [1.0, 1.5]
    assert system.field(1.5, np.array([2.0, 7.0])).tolist() == [-7.0, 0.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1 to 64 equations, got 0"),
        ("x' = 1;" * 65, "1 to 64 equations, got 65"),
        ("x'' = -x", "equations of first order"),
        ("x = 1", "equations of first order"),
        ("x' = 1, y' = 2", r"rhs\[0\]: expression"),
        ("x' =", "expression must not be empty"),
        ("x' = 1; x' = 2", "'x' is given twice"),
        ("t' = 1", "t: 't' is also the name of a state"),
        ("pi' = 1", "cannot be the name of a variable"),
        ("x' = -k*x", "unknown variable k"),
        ("x' = __import__('os').system('true')", r"rhs\[0\]: expression"),
        ("x' = 9**9**9**9", r"rhs\[0\]: expression"),
        ("x' = eval('1')", "unknown function eval"),
        ("__class__' = 1", "equations of first order"),
        ("x' = " + "1+" * 20000 + "1", "at most 20000 characters"),
        ("x' = 1\n\ny' = 2", r"rhs\[0\]: expression"),
    ],
)
def test_hostile_and_mistaken_text(text, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        parse_ode(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ode", "x' = -sign(x)", "--t", "1"), "x0 must be given: 1 comma-separated numbers"),
        (("--ode", "x' = -sign(x)", "--x0", "1"), "t must be given"),
        (("--ode", "x' = -sign(x)", "--x0", "1,2", "--t", "1"), r"x0 must be a vector of shape \(1,\)"),
        (
            ("--ode", "x' = -sign(x)", "--x0", "1", "--t", "1", "--method", "euler"),
            "method must be one of DOP853",
        ),
        (("--ode", "x' = -sign(x)", "--x0", "1", "--t", "1", "--rtol", "-1"), "rtol must be a positive"),
        (
            ("x**2", "--ode", "x' = -sign(x)", "--x0", "1", "--t", "1"),
            "source must not be given together with --ode",
        ),
        (("--ode", "x' = sign(x)", "--x0", "0", "--t", "1"), "3 solutions leave the point"),
    ],
)
def test_errors_are_one_line_and_exit_code_one(capsys, tmp_path, arguments, words):
    code, _, err = run(capsys, *arguments, "--out", str(tmp_path))
    assert code == 1
    assert re.match(r"filippov: [^\n]+\n$", err)
    assert re.search(words, err)


def test_the_part_computed_before_a_failure_is_written(capsys, tmp_path):
    # x reaches the surface x = 0 at t = 1, where y = 0 has turned repelling for both.
    ode = "x' = -1; y' = sign(x)*0 + Piecewise((0, x > 0), (sign(y), True))"
    code, out, err = run(capsys, "--ode", ode, "--x0", "1,0", "--t", "2", "--out", str(tmp_path))
    assert code == 1
    assert "solutions leave" in err
    assert "The part computed, to t = 1" in out
    assert Trajectory.load(tmp_path / "trajectory.npz").t_end == pytest.approx(1.0, abs=1e-9)
