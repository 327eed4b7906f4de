import math
import pickle
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from filippov import FilippovError, PiecewiseSmooth, Relay, branches, solve
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.symbolic.from_expressions import SymbolicSystem, from_sympy

x, y, v, t = sympy.symbols("x y v t")
H = sympy.Heaviside
S = sympy.sign
REAL = {name: sympy.Symbol(name, real=True) for name in "xyt"}
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def surfaces_of(*rhs, variables=("x", "y"), time="t"):
    padded = [*rhs, *["0"] * (len(variables) - len(rhs))]
    return [sympy.expand(h) for h in from_sympy(padded, variables, time).surface_expressions]


def events(trajectory):
    return [(s.kind, s.surfaces) for s in trajectory.switches]


def assert_same_path(one, other, tolerance=1e-9):
    assert events(one) == events(other)
    assert np.allclose([s.t for s in one.switches], [s.t for s in other.switches], rtol=0, atol=tolerance)
    times = np.linspace(one.t[0], one.t_end, 201)
    assert np.max(np.abs(one.sol(times) - other.sol(times))) <= tolerance


# -- the same system written by hand ----------------------------------------------------------------------------------


def friction_by_hand():
    def side(s):
        return lambda t, z: np.array([z[1], -z[0] - 1.2 * s + math.cos(0.8 * t)])

    def drift(t, z):
        return np.array([z[1], -z[0] + math.cos(0.8 * t)])

    jac = np.array([[0.0, 1.0]])
    return [
        PiecewiseSmooth(lambda t, z: [z[1] - 1.0], {1: side(1), -1: side(-1)}, jac=lambda t, z: jac),
        Relay(drift, lambda t, z: np.array([[0.0], [1.2]]), lambda t, z: [z[1] - 1.0], jac=lambda t, z: jac),
    ]


@pytest.mark.parametrize(
    "force",
    [
        "-1.2*sign(v - 1)",
        "1.2*sign(2 - 2*v)",
        "1.2 - 2.4*Heaviside(v - 1)",
        "Piecewise((-1.2, v > 1), (1.2, True))",
        "1.2*(1 - v)/abs(v - 1)",
        "-1.2*sign((v - 1)**3*exp(x))",
        "-1.2*sign(v - 1)**3",
        "-1.2*sign(x**2 + 1)*sign(sign(v - 1))",
    ],
)
def test_dry_friction_is_the_hand_written_system(force):
    system = from_sympy(["v", f"-x + {force} + cos(0.8*t)"], ["x", "v"], "t")
    path = solve(system, (0.0, 20.0), [0.0, 0.0], **TIGHT)
    assert [s.kind for s in path.switches].count("sliding-entry") == 3
    for by_hand in friction_by_hand():
        assert_same_path(path, solve(by_hand, (0.0, 20.0), [0.0, 0.0], **TIGHT))
    assert path.certify().ok


def test_codimension_two_is_the_relay_system():
    rhs = ["0.3*sin(t) - sign(x) - 0.2*sign(y)", "0.2 - 0.1*sign(x) - sign(y)", "1"]
    by_hand = Relay(
        lambda t, z: np.array([0.3 * math.sin(t), 0.2, 1.0]),
        lambda t, z: np.array([[1.0, 0.2], [0.1, 1.0], [0.0, 0.0]]),
        lambda t, z: z[:2],
    )
    start = [1.0, -0.5, 0.0]
    path = solve(from_sympy(rhs, ["x", "y", "z"], "t"), (0.0, 5.0), start, **TIGHT)
    assert path.switches[-1].codimension == 2
    assert_same_path(path, solve(by_hand, (0.0, 5.0), start, **TIGHT))


# -- surfaces found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("sign(x - y) + abs(2*y - 2*x) + max(x, y) + Heaviside(x/3 - y/3)", {"x - y"}),
        ("Piecewise((1, 0 <= x < 1), (0, True))", {"x", "x - 1"}),
        ("sign(exp(y)*(x - 1)*(1 + y**2))", {"x - 1"}),
        ("sign(x*y) + sign(-x)", {"x", "y"}),
        ("sign(x**2 - y**2)", {"x - y", "x + y"}),
        ("sign(x**2 - 2*x*y + y**2)", set()),
        ("sign(x)**2*x + sign(x**2 + 1) + sign(exp(x)) - sign(-3)", set()),
        ("sign(1/x - 1)", {"x", "1 - x"}),
        ("sign(pi*x - pi*y) + 2*sign(y - x)", {"x - y"}),
        ("sign(sqrt(2)*x - 1) - sign(1/sqrt(2) - x)", {"x - 1/sqrt(2)"}),
        ("sign(x + sign(y))", {"y", "x + 1", "x - 1"}),
        ("abs(abs(x) - 1)", {"x", "x - 1", "-x - 1"}),
        ("sign(sin(x) - y) + sign(y - sin(x))*x", {"-y + sin(x)"}),
        ("sign(x - t)", {"-t + x"}),
        ("x*y - cos(t)", set()),
    ],
)
def test_surfaces_are_found_once_each(formula, expected):
    found = surfaces_of(formula)
    assert len(found) == len(expected)
    forms = {sympy.expand(sympy.sympify(h, locals=REAL)) for h in expected}
    assert all(
        {h, -h} & forms for h in found
    )  # which of h and -h stands first in the formula is sympy's business


def test_numbers_as_floats_and_as_fractions_are_one_surface():
    system = from_sympy([S(x - 0.1) + S(sympy.Rational(1, 10) - x) * x], [x])
    assert len(system.surface_expressions) == 1
    assert system.surface_expressions[0].free_symbols == {x}


def test_surface_derivatives_are_exact():
    system = from_sympy([S(x * v**2 - sympy.sin(t) * x + v), 0], [x, v], t)
    assert len(system.surface_expressions) == 1
    at, state = 0.7, np.array([0.3, -1.1])
    h = system.surface_expressions[0]
    here = {x: state[0], v: state[1], t: at}
    assert np.allclose(
        system.surfaces.jacobian(at, state), [[float(h.diff(z).subs(here)) for z in (x, v)]], rtol=1e-14
    )
    assert np.allclose(system.surfaces.rate(at, state), [float(h.diff(t).subs(here))], rtol=1e-14)
    assert not system.jacobian_is_approximate


# -- fields: the formula itself is the oracle, off the surfaces -------------------------------------------------------

FORMULAS = [
    S(x * y) * y + S(x) * S(y) - 2 * S(-x),
    S(x + S(y) / 2) * S(y - S(x + S(y) / 2) / 3),
    sympy.Max(x, y, x * y, 1) - sympy.Min(x**2, y, sympy.Abs(x - y)),
    sympy.Piecewise((x, x < sympy.Abs(y)), (S(y) * x**2, sympy.Or(y > 1, x * y < 0)), (7 * y, True)),
    sympy.Piecewise(
        (H(y - x**3), sympy.Not(sympy.And(x > 0, y > 0))), (sympy.exp(x), sympy.Ne(x, y)), (0, True)
    ),
    sympy.Abs(sympy.Abs(sympy.Abs(x) - 1) - y) * H(1 / (x + 3) - S(x) / 4),
]


@given(
    st.integers(0, len(FORMULAS) - 1),
    st.integers(-400, 400).filter(lambda k: k % 4),
    st.integers(-400, 400).filter(lambda k: k % 4),
)
@settings(max_examples=150, deadline=None)
def test_fields_are_the_formula_off_the_surfaces(index, i, j):
    system = SYSTEMS[index]
    point = np.array([i / 160 + 1e-5 * j, j / 160 + math.sqrt(2) * 1e-5])
    values = system.switching_functions(0.0, point)
    if np.min(np.abs(values)) < 1e-9:
        return
    exact = FORMULAS[index].subs({x: sympy.Rational(float(point[0])), y: sympy.Rational(float(point[1]))})
    assert system.field(0.0, point)[0] == pytest.approx(float(exact), rel=1e-12, abs=1e-12)
    # What is not watched here does not matter: flipping its side leaves the field as it is.
    sides = np.where(values > 0, 1, -1).astype(np.int8)
    for k in np.flatnonzero(~system.watched(sides)):
        flipped = sides.copy()
        flipped[k] = -flipped[k]
        assert system.pattern_field(0.0, point, flipped)[0] == system.pattern_field(0.0, point, sides)[0]


SYSTEMS = [from_sympy([formula, 1], [x, y]) for formula in FORMULAS]


def test_negated_arguments_and_exchanged_signs_give_the_same_fields():
    one = from_sympy([S(x - y) * S(y) + S(2 * x), S(y)], [x, y])
    other = from_sympy([S(y - x) * S(-3 * y) + S(x) ** 3, -S(-y)], [x, y])
    for a, b in product((-1.3, 0.4, 2.1), (-0.7, 0.9)):
        assert np.array_equal(one.field(0.0, np.array([a, b])), other.field(0.0, np.array([a, b])))


# -- trajectories with known answers ----------------------------------------------------------------------------------


def test_moving_surface_is_followed():
    # x' = -2 sgn(x - sin t): meets x = sin t, then slides on it for ever, as |cos t| < 2.
    system = from_sympy([-2 * S(x - sympy.sin(t))], [x], t)
    path = solve(system, (0.0, 6.0), [1.0], **TIGHT)
    assert [s.kind for s in path.switches] == ["sliding-entry"]
    entry = path.switches[0].t
    assert 1.0 - 2.0 * entry == pytest.approx(math.sin(entry), abs=1e-12)
    later = np.linspace(entry, 6.0, 50)
    assert np.allclose(path.sol(later)[0], np.sin(later), rtol=0, atol=1e-13)


def test_release_by_time_alone():
    path = solve(from_sympy(["t - sign(x)"], ["x"], "t"), (0.0, 3.0), [0.3], **TIGHT)
    # Down along 0.3 - t + t^2/2 to x = 0, at rest until t = 1, then (t - 1)^2/2.
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit"]
    assert [s.t for s in path.switches] == pytest.approx([1.0 - math.sqrt(0.4), 1.0], abs=1e-9)
    assert path.y[0, -1] == pytest.approx(2.0, abs=1e-9)


def test_kinks_are_crossed_and_keep_the_order():
    # x'' = -|x|: a cosine for x > 0, then a hyperbolic fall.
    path = solve(from_sympy([v, -sympy.Abs(x)], [x, v]), (0.0, 3.0), [1.0, 0.0], **TIGHT)
    assert events(path) == [("crossing", (0,))]
    assert path.switches[0].t == pytest.approx(math.pi / 2, abs=1e-11)
    assert path.y[0, -1] == pytest.approx(-math.sinh(3.0 - math.pi / 2), abs=1e-9)


@pytest.mark.parametrize("formula", ["-max(x, 0) - 4*min(x, 0)", "-Piecewise((x, x > 0), (4*x, True))"])
def test_bilinear_oscillator_has_its_period(formula):
    period = math.pi + math.pi / 2
    path = solve(from_sympy(["v", formula], ["x", "v"]), (0.0, 2 * period), [0.0, 1.0], **TIGHT)
    assert path.y[:, -1] == pytest.approx([0.0, 1.0], abs=1e-9)
    inner = [s.t for s in path.switches if s.t < 2 * period - 1e-6]
    assert inner == pytest.approx([math.pi, period, period + math.pi], abs=1e-9)


def test_nested_sign_slides_on_the_surface_of_the_inner_value():
    # y = 1 - t changes sign at t = 1: x' = -4 sgn(x + sgn y) slides on x = -1 before and runs to x = 1 after.
    path = solve(from_sympy([-4 * S(x + S(y)), -1], [x, y]), (0.0, 3.0), [0.0, 1.0], **TIGHT)
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit", "sliding-entry"]
    assert [s.t for s in path.switches] == pytest.approx([0.25, 1.0, 1.5], abs=1e-12)
    assert path.sol(0.8)[0] == pytest.approx(-1.0, abs=1e-13)
    assert path.sol(1.25)[0] == pytest.approx(0.0, abs=1e-12)
    assert path.sol(2.5)[0] == pytest.approx(1.0, abs=1e-13)
    assert path.certify().ok


def test_surfaces_that_switch_nothing_cause_no_switch():
    # From x = 3 with y > 0 only x = -1 counts, not x = 1.
    path = solve(from_sympy([S(x + S(y)) - 2, 0], [x, y]), (0.0, 5.0), [3.0, 1.0])
    assert [s.t for s in path.switches] == pytest.approx([4.0], abs=1e-9)
    assert [s.kind for s in path.switches] == ["crossing"]
    system = from_sympy([S(x + S(y)), 1], [x, y])
    assert [[system.surface_expressions[i] for i in s.surfaces] for s in path.switches] == [[x + 1]]
    assert system.classify([1.0, 2.0]).kind == "smooth"  # on x = 1, where y > 0
    assert system.classify([1.0, -2.0]).codimension == 1
    # Of three the largest: where it is z = 10, that x passes y is nothing.
    largest = solve(from_sympy(["1", "0*max(x, y, 10) + max(x, y, 10)"], ["x", "y"]), (0.0, 0.5), [0.0, 0.25])
    assert largest.switches == []


def test_switched_off_terms_cause_no_switch():
    path = solve(from_sympy([1, H(y) * S(x)], [x, y]), (0.0, 1.0), [-0.5, -1.0])
    assert path.switches == []
    # The corner x, y > 0: beside it one of the two surfaces is nothing, below it the other.
    for rates, start in (([0, -1], [-1.0, 0.5]), ([-1, 0], [0.5, -1.0])):
        inside = sympy.Piecewise((1, sympy.And(x > 0, y > 0)), (0, True))
        assert solve(from_sympy([*rates, inside], [x, y, v]), (0.0, 1.0), [*start, 0.0]).switches == []


def test_nothing_slides_on_a_surface_where_it_switches_nothing():
    # Below y = 0 the surface is x = 1, so nothing is at x = -1, though the field is tangent to it.
    system = from_sympy([S(x + S(y)) + 1, -1], [x, y])
    path = solve(system, (0.0, 1.0), [-1.0, 0.0])
    assert path.sliding_time == 0.0
    assert path.y[:, -1] == pytest.approx([-1.0, -1.0], abs=1e-12)


def test_factors_met_twice_are_a_square():
    system = from_sympy([S((x - y) * (sympy.pi * x - sympy.pi * y) * x), 0], [x, y])
    for a, b in product((-1.0, 2.0), (-3.0, 1.0)):
        assert system.field(0.0, np.array([a, b]))[0] == np.sign(a)


def test_a_value_outside_of_its_branch_is_never_computed():
    system = from_sympy(["-1", "Piecewise((log(1 + x), x > 0), (0, True))"], ["x", "y"])
    path = solve(system, (0.0, 3.0), [1.0, 0.0], **TIGHT)
    assert path.y[:, -1] == pytest.approx([-2.0, 2.0 * math.log(2.0) - 1.0], abs=1e-10)


def test_square_of_a_sign_is_one_while_sliding():
    # y' = sign(x)^2: Filippov's 1, not the 0 of equivalent control; see theory of the convexification.
    path = solve(from_sympy([-S(x), S(x) ** 2], [x, y]), (0.0, 2.0), [0.5, 0.0])
    assert path.y[:, -1] == pytest.approx([0.0, 2.0], abs=1e-9)


def test_product_of_signs_has_the_multilinear_velocity():
    # On x = y = 0 both slide with u = (1/2, 1/4); the product of independent signs has the mean u1 u2.
    rhs = ["0.5 - sign(x)", "0.25 - sign(y)", "sign(x*y)"]
    path = solve(from_sympy(rhs, ["x", "y", "z"]), (0.0, 4.0), [0.5, 0.25, 0.0], **TIGHT)
    slides = path.switches[-1]
    assert slides.codimension == 2
    assert path.y[2, -1] - slides.x[2] == pytest.approx((4.0 - slides.t) / 8.0, abs=1e-9)


def test_without_switching_it_is_an_ordinary_system():
    system = from_sympy([v, -x], [x, v])
    path = solve(system, (0.0, 3.0), [1.0, 0.0], **TIGHT)
    assert path.switches == []
    assert path.y[:, -1] == pytest.approx([math.cos(3.0), -math.sin(3.0)], abs=1e-10)
    assert path.certify().ok
    assert system.surface_expressions == ()
    assert system.classify([1.0, 0.0]).kind == "smooth"


def test_repelling_surface_branches():
    paths = branches(from_sympy([S(x)], [x]), (0.0, 1.0), [0.0])
    assert sorted(round(float(path.y[0, -1]), 12) for path in paths) == [-1.0, 0.0, 1.0]


# -- lazily, and as values --------------------------------------------------------------------------------------------


def test_patterns_are_compiled_when_they_are_met():
    rhs = [sympy.Add(*(S(x - k) for k in range(12))), 1]
    system = from_sympy(rhs, [x, y])
    assert len(system.fields) == 2**12
    assert len(system._fields._compiled) == 0
    path = solve(system, (0.0, 0.25), [9.5, 0.0])
    assert path.y[0, -1] > 11.0
    assert len(system._fields._compiled) <= 8
    assert system.fields[(1,) * 12](0.0, np.zeros(2)).tolist() == [12.0, 1.0]
    with pytest.raises(KeyError):
        system.fields[(1, 1)]


def test_it_is_a_piecewise_smooth_system_that_can_be_pickled():
    system = from_sympy([v, -x - S(v) + sympy.cos(t)], sympy.Matrix([x, v]), t)
    assert isinstance(system, PiecewiseSmooth)
    assert system.dim == 2
    copy = pickle.loads(pickle.dumps(system))
    assert isinstance(copy, SymbolicSystem)
    assert copy.surface_expressions == system.surface_expressions == (v,)
    assert np.array_equal(copy.field(0.3, np.array([1.0, 2.0])), system.field(0.3, np.array([1.0, 2.0])))
    assert repr(system) == "SymbolicSystem(x, v; surfaces: v)"


def test_names_and_symbols_and_matrices_are_the_same():
    point = np.array([0.3, -0.2])
    expected = [-0.2, -1.0]
    for rhs, variables in [
        (["y", "-sign(x)"], ["x", "y"]),
        ([y, -S(x)], ["x", "y"]),
        (sympy.Matrix([y, -S(x)]), sympy.symbols("x y", real=True)),
        ([y, "-sign(x)"], (x, y)),
        ([y, 1 - 2 * H(x)], sympy.Matrix([x, y])),
    ]:
        assert from_sympy(rhs, variables).field(0.0, point).tolist() == expected
    assert from_sympy([x > 0, 2], [x, y]).field(0.0, point).tolist() == [1.0, 2.0]


def test_importing_the_module_does_not_import_sympy():
    code = "import sys, filippov.symbolic.from_expressions; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rhs", "variables", "time", "words"),
    [
        ("-x", ["x"], None, r"rhs must be a sequence.*got str"),
        (["-x"], "x", None, r"variables must be a sequence.*got str"),
        (["-x", "1"], ["x"], None, r"rhs must have 1 entries.*got 2"),
        (["-x", "1"], ["x", "x"], None, r"'x' is given twice"),
        ([], [], None, r"variables must not be empty"),
        ([None], ["x"], None, r"rhs\[0\] must be a sympy expression or text, got NoneType"),
        ([x], [3], None, r"variables must be sympy symbols or names, got int"),
        (["x"], ["x y"], None, r"variables must be names"),
        (["x"], ["x"], "x", r"t: 'x' is also the name of a state"),
        ([-x + t], [x], None, r"rhs\[0\] contains t, known: x \(a time must be named by t=\)"),
        ([-x * y], [x], t, r"rhs\[0\] contains y, known: x, t$"),
        (["-x + t"], ["x"], None, r"rhs\[0\]: expression: unknown variable t"),
        ([sympy.I * x], [x], None, r"rhs\[0\] must be real and finite"),
        ([sympy.sqrt(-1 - x**2)], [x], None, r"rhs\[0\] must be real and finite"),
        (
            [sympy.Symbol("z", imaginary=True)],
            [sympy.Symbol("z", imaginary=True)],
            None,
            r"variables must be real",
        ),
        ([sympy.floor(x)], [x], None, r"rhs\[0\] contains floor"),
        ([sympy.atan2(x, 1 + x)], [x], None, r"rhs\[0\] contains atan2"),
        ([sympy.Function("f")(x)], [x], None, r"rhs\[0\] contains f\(...\)"),
        ([sympy.DiracDelta(x)], [x], None, r"rhs\[0\] contains DiracDelta"),
        ([sympy.oo * x], [x], None, r"rhs\[0\] must be real and finite"),
        ([sympy.Add(*(S(x - k) for k in range(17)))], [x], None, r"at most 16 switching functions"),
        (
            ["sign(x*" + "*".join(f"(2 + sign(x - {k}))" for k in range(10)) + ")"],
            ["x"],
            None,
            r"more than 512",
        ),
    ],
)
def test_bad_arguments_are_named(rhs, variables, time, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        from_sympy(rhs, variables, time)
    assert "\n" not in str(caught.value)


def test_bad_selection():
    with pytest.raises(InvalidInputError, match="selection must be one of"):
        from_sympy([-x], [x], selection="best")
    with pytest.raises(InvalidTypeError):
        from_sympy(3, [x])


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "(lambda: 1)()",
        "9**9**9**9",
        "sign(" * 60 + "x" + ")" * 60,
        "open('f')",
        "x; y",
        "sign(x) if x > 0 else 1",
        "[x for x in (1, 2)]",
        "",
        "x +",
    ],
)
def test_hostile_text_is_refused(text):
    with pytest.raises(InvalidInputError, match=r"^rhs\[0\]"):
        from_sympy([text], ["x"])


@pytest.mark.parametrize(
    "text", ["sign((x + y)**1000 - 1)", "*".join(["(x + y)"] * 300), "sign(" + "+".join(["x*y"] * 400) + ")"]
)
def test_large_powers_are_not_expanded(text):
    assert isinstance(from_sympy([text, "1"], ["x", "y"]), SymbolicSystem)


def test_failures_in_mid_run_say_where():
    with pytest.raises(
        FilippovError, match=r"rhs \(everywhere\) is not real and finite at t = .* math domain"
    ):
        solve(from_sympy(["-1 + 0*log(x) + 1e-3*log(x)"], ["x"]), (0.0, 2.0), [1.0])
    with pytest.raises(FilippovError, match=r"rhs\[1\] has no finite value where .* \(-1,\)"):
        solve(from_sympy(["-1", "Piecewise((1, x > 0))"], ["x", "y"]), (0.0, 2.0), [1.0, 0.0])
    with pytest.raises(FilippovError, match="is not real and finite"):
        from_sympy([sympy.root(x, 3)], [x]).field(0.0, np.array([-1.0]))


def test_all_ways_of_sliding_with_the_same_sides_are_kept():
    """z' = x', so that z = x throughout: the way that stays at x = 0 stays at z = 0."""
    x, y, z = sympy.symbols("x y z")
    system = from_sympy(
        [-sympy.sign(x), sympy.Piecewise((-1, x < 0), (1 - 2 * sympy.sign(y), True)), -sympy.sign(x)],
        [x, y, z],
    )
    path = solve(system, (0.0, 5.0), [0.3, 0.2, 0.3])
    np.testing.assert_allclose(path.y[[0, 2], -1], 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("fields", "x0", "z"),
    [
        ({(1, 1): (-4, -1, -4), (1, -1): (3, 3, 1), (-1, 1): (1, -1, -3), (-1, -1): (-4, 4, -4)}, (2, 4, 4), -3.9),
        ({(1, 1): (-2, 4, 0), (1, -1): (-1, 0, 1), (-1, 1): (1, -2, 0), (-1, -1): (1, 1, -2)}, (-3, -3, -3), -2.25),
        ({(1, 1): (1, 0, 2), (1, -1): (-4, 4, -4), (-1, 1): (0, 2, -1), (-1, -1): (2, -2, -2)}, (2, -2, 1), -47 / 12),
    ],
)  # fmt: skip
def test_a_weight_at_its_bound_for_ever(
    fields: dict[tuple[int, int], tuple[int, int, int]], x0: tuple[int, int, int], z: float
) -> None:
    """Sliding on two surfaces with a weight that is 1 exactly, but for rounding; fields in halves, starts in quarters."""

    def value(i: int) -> str:
        above, below = (
            f"Piecewise(({fields[a, 1][i]}/2, y > 0), ({fields[a, -1][i]}/2, True))" for a in (1, -1)
        )
        return f"Piecewise(({above}, x > 0), ({below}, True))"

    given = PiecewiseSmooth(
        lambda t, q: q[:2], {s: (lambda t, q, v=v: 0.5 * np.array(v)) for s, v in fields.items()}
    )
    read = from_sympy([value(i) for i in range(3)], ["x", "y", "z"])
    start = 0.25 * np.array(x0)
    for system in (given, read):
        path = solve(system, (0.0, 3.0), start)
        np.testing.assert_allclose(path.y[:, -1], [0.0, 0.0, z], atol=1e-9)
