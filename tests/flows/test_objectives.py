import pickle
from fractions import Fraction

import numpy as np
import pytest
import sympy

from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows.objectives import (
    LogisticQuadratic,
    Objective,
    Quadratic,
    RidgeLogistic,
    Separable,
    SmoothMax,
    Symbolic,
)

RNG = np.random.default_rng(7)
N_ROWS, DIM = 5, 3
A = RNG.normal(size=(N_ROWS, DIM))
B = RNG.normal(size=N_ROWS)
ROOT = RNG.normal(size=(DIM, DIM))
Q = ROOT @ ROOT.T + 0.1 * np.eye(DIM)
Y = np.where(RNG.random(N_ROWS) < 0.5, -1.0, 1.0)
X = sympy.symbols("x1:4", real=True)


def _entropy_like():
    return Separable(np.cosh, np.sinh, np.cosh, dim=DIM, third=np.sinh, minimizers=np.zeros(DIM))


def _callables():
    return Objective(
        lambda x: np.sum(np.exp(x)) + x @ Q @ x,
        lambda x: np.exp(x) + 2 * Q @ x,
        lambda x: np.diag(np.exp(x)) + 2 * Q,
        dim=DIM,
    )


def _gradient_only():
    return Objective(lambda x: np.sum(np.exp(x)) + x @ Q @ x, lambda x: np.exp(x) + 2 * Q @ x, dim=DIM)


def _dot(row, symbols):
    return sum(sympy.Float(float(a), 30) * s for a, s in zip(row, symbols, strict=True))


def _quadratic_form(M):
    return sum(_dot(row, X) * s for row, s in zip(M, X, strict=True)) / 2


FORMULAS = {
    "quadratic": (lambda: Quadratic(Q, B[:DIM]), lambda: _quadratic_form(Q) - _dot(B[:DIM], X)),
    "logistic": (
        lambda: LogisticQuadratic(A, Q),
        lambda: sum(sympy.log(1 + sympy.exp(_dot(a, X))) for a in A) + _quadratic_form(Q),
    ),
    "ridge": (
        lambda: RidgeLogistic(A, Y, 0.3),
        lambda: sum(sympy.log(1 + sympy.exp(_dot(-s * a, X))) for a, s in zip(A, Y, strict=True)) / N_ROWS
        + sympy.Rational(3, 20) * sum(s**2 for s in X),
    ),
    "smooth max": (
        lambda: SmoothMax(A, B, Q, tau=0.4),
        lambda: sympy.Rational(2, 5)
        * sympy.log(
            sum(sympy.exp((_dot(a, X) - float(b)) * sympy.Rational(5, 2)) for a, b in zip(A, B, strict=True))
        )
        + _quadratic_form(Q),
    ),
    "separable": (_entropy_like, lambda: sum(sympy.cosh(s) for s in X)),
    "power": (
        lambda: Separable.power([0.5, -1, 2], 4, [1, 2, 3]),
        lambda: ((X[0] - 0.5) ** 4 + 2 * (X[1] + 1) ** 4 + 3 * (X[2] - 2) ** 4) / 4,
    ),
    "symbolic": (
        lambda: Symbolic("log(1 + exp(x1 - x2)) + x3^2*x1 + sin(x2)/2 + logaddexp(x1, 2*x3)"),
        lambda: sympy.log(1 + sympy.exp(X[0] - X[1])) + X[2] ** 2 * X[0] + sympy.sin(X[1]) / 2
        + sympy.log(sympy.exp(X[0]) + sympy.exp(2 * X[2])),
    ),
    "callables": (_callables, lambda: sum(sympy.exp(s) for s in X) + 2 * _quadratic_form(Q)),
    "gradient only": (_gradient_only, lambda: sum(sympy.exp(s) for s in X) + 2 * _quadratic_form(Q)),
}  # fmt: skip
KNOWN_CONSTANTS = ["quadratic", "logistic", "ridge", "smooth max"]


def make(name):
    return FORMULAS[name][0]()


@pytest.mark.parametrize("name", FORMULAS)
def test_all_derivatives_agree_with_sympy_in_thirty_digits(name):
    f, formula = make(name), FORMULAS[name][1]()
    point, d = np.array([0.3, -0.8, 1.1]), np.array([1.0, -0.5, 2.0])
    at = {s: sympy.Float(float(v), 30) for s, v in zip(X, point, strict=True)}
    gradient = [formula.diff(s) for s in X]
    hessian = [[g.diff(s) for s in X] for g in gradient]
    curvature = sum(hessian[i][j] * float(d[i] * d[j]) for i in range(DIM) for j in range(DIM))

    def numbers(rows):
        return np.array([[float(e.evalf(30, subs=at)) for e in row] for row in rows])

    rough = 1e-7 if name == "gradient only" else 1e-13
    assert f.value(point) == pytest.approx(float(formula.evalf(30, subs=at)), rel=1e-14)
    np.testing.assert_allclose(f.grad(point), numbers([gradient])[0], rtol=1e-13, atol=1e-13)
    H = numbers(hessian)
    np.testing.assert_allclose(f.hess(point), H, rtol=rough, atol=rough)
    np.testing.assert_array_equal(f.hess(point), f.hess(point).T)
    np.testing.assert_allclose(f.hvp(point, d), H @ d, rtol=rough, atol=rough)
    third = numbers([[curvature.diff(s) for s in X]])[0]
    tolerance = {"gradient only": 1e-5, "callables": 1e-8}.get(name, 1e-12)
    np.testing.assert_allclose(f.third(point, d), third, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FORMULAS)
def test_repeated_and_alternating_points_do_not_mix(name):
    # Objectives remember the last point; a mutated array must not be mistaken for it.
    f, fresh = make(name), make(name)
    x = np.array([0.3, -0.8, 1.1])
    f.value(x), f.grad(x)
    x[1] = 0.25
    assert f.value(x) == fresh.value(x)
    np.testing.assert_array_equal(f.grad(x), make(name).grad(x))
    np.testing.assert_array_equal(f.hess(x), make(name).hess(x))


@pytest.mark.parametrize("name", KNOWN_CONSTANTS)
def test_coordinate_smoothness_makes_5_2_true(name):
    f = make(name)
    L = f.coordinate_smoothness
    for _ in range(200):
        x, d = RNG.normal(size=(2, DIM)) * 10.0 ** RNG.uniform(-2, 1.5, size=(2, 1))
        slack = f.value(x) + f.grad(x) @ d + L @ d**2 / 2 - f.value(x + d)
        assert slack >= -1e-12 * (1 + abs(f.value(x)) + abs(f.value(x + d)) + L @ d**2)
        assert np.linalg.eigvalsh(np.diag(L) - f.hess(x))[0] >= -1e-12 * L.max()
    # It is not merely large: no L below the diagonal of the Hessian can do.
    assert np.all(np.diag(f.hess(np.zeros(DIM))) <= L)


def test_coordinate_smoothness_of_a_quadratic_is_exact_row_sums():
    M = [[2, -1, 0], [-1, 3, 2], [0, 2, 5]]
    exact = [sum(abs(Fraction(e)) for e in row) for row in M]
    assert Quadratic(M).coordinate_smoothness.tolist() == exact


def test_smooth_max_bound_does_not_grow_with_repeated_rows():
    once = SmoothMax(A, B, 0 * Q, tau=0.5)
    often = SmoothMax(np.tile(A, (100, 1)), np.tile(B, 100), 0 * Q, tau=0.5)
    assert often.coordinate_smoothness.sum() <= DIM * DIM * np.ptp(A) ** 2 / (4 * 0.5)
    x = RNG.normal(size=DIM)
    np.testing.assert_allclose(often.hess(x), once.hess(x), atol=1e-12)


@pytest.mark.parametrize("name", KNOWN_CONSTANTS)
def test_strong_convexity_is_a_lower_bound_that_is_approached(name):
    f = make(name)
    least = [np.linalg.eigvalsh(f.hess(x))[0] for x in RNG.normal(size=(100, DIM)) * 100]
    assert min(least) >= f.strong_convexity * (1 - 1e-10)
    assert min(least) == pytest.approx(f.strong_convexity, rel=1e-2)
    assert f.convex is True


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("make_f", [
    lambda: LogisticQuadratic(3 * A, 1e-3 * Q),
    lambda: RidgeLogistic(A, Y, 0.0),
    lambda: SmoothMax(A, B, 0 * Q, tau=0.2),
    lambda: SmoothMax([[1, 0, 0], [-1, 0, 0]], [0, 0], 1e-9 * np.eye(3)),
    lambda: Quadratic(Q),
])  # fmt: skip
def test_hessian_variation_bounds_third_and_fourth_derivatives(order, make_f):
    f = make_f()
    dual = {1: np.inf, 2: 2, np.inf: 1}[order]
    beta, beta2 = f.hessian_variation(lambda a: np.linalg.norm(a, dual))
    for _ in range(100):
        x = RNG.normal(size=DIM) * 10.0 ** RNG.uniform(-1, 0.5)
        d, u = RNG.normal(size=(2, DIM))
        d /= np.linalg.norm(d, order)
        h = 3e-3 / (1 + beta)

        def curvature(t, x=x, d=d, u=u):
            return u @ f.hvp(x + t * d, u)

        # By symmetry of the bilinear forms D^3 f[d, ., .] and D^4 f[d, d, ., .] u = z suffices.
        middle, left, right = curvature(0), curvature(-h), curvature(h)
        noise = 1e-15 * (u @ f.hess(np.zeros(DIM)) @ u + 100)
        assert abs(right - left) / (2 * h) <= beta * middle * (1 + 1e-4) + noise / h
        assert abs(right - 2 * middle + left) / h**2 <= beta2 * middle * (1 + 1e-3) + noise / h**2
        assert abs(f.third(x, d) @ d) <= beta * (d @ f.hvp(x, d)) * (1 + 1e-9) + 1e-12


def test_hessian_variation_is_nearly_attained():
    # One logistic loss far out: phi'''/phi'' -> 1. Two rows far out: skewness of a rare outcome, R/tau.
    logistic = LogisticQuadratic([[2.0]], [[0.0]])
    assert abs(logistic.third([-8], [1])[0]) == pytest.approx(2 * logistic.hess([-8])[0, 0], rel=1e-5)
    assert logistic.hessian_variation(lambda a: abs(a[0])) == (2, 4)
    maximum = SmoothMax([[1.0], [-1.0]], [0, 0], [[0.0]], tau=0.5)
    assert maximum.hessian_variation(lambda a: abs(a[0])) == (4, 16)
    assert abs(maximum.third([5], [1])[0]) == pytest.approx(4 * maximum.hess([5])[0, 0], rel=1e-5)


def test_hessian_variation_is_unknown_without_convexity():
    indefinite = np.diag([1.0, 1.0, -1e-3])
    for f in (LogisticQuadratic(A, indefinite), SmoothMax(A, B, indefinite), _entropy_like(), _callables()):
        assert f.hessian_variation(np.linalg.norm) is None
    many = np.tile(A, (30, 1))
    few, centred = (SmoothMax(M, np.zeros(len(M)), Q).hessian_variation(np.linalg.norm) for M in (A, many))
    assert few[0] <= centred[0] <= 2 * DIM * few[0]


@pytest.mark.parametrize("scale", [1e3, -1e3, 1e150])
def test_extreme_points_do_not_overflow(scale):
    x = scale * np.array([1.0, -1.0, 0.5])
    for f in (LogisticQuadratic(A, 0 * Q), RidgeLogistic(A, Y, 0.0), SmoothMax(A, B, 0 * Q, tau=0.1)):
        assert np.isfinite(f.value(x))
        assert np.all(np.isfinite(f.grad(x)))
        assert np.all(np.isfinite(f.hess(x)))
        assert np.all(np.isfinite(f.third(x, np.ones(DIM))))
    f = Symbolic("softplus(x) + logaddexp(y, 3*z) + log(1 + exp(x) + 2*exp(y - z))")
    limit = max(x[0], 0) + max(x[1], 3 * x[2]) + max(x[0], x[1] - x[2] + np.log(2), 0)
    assert f.value(x) == pytest.approx(limit, rel=1e-14)
    for part in (f.grad(x), f.hess(x), f.third(x, np.ones(3))):
        assert np.all(np.isfinite(part))


@pytest.mark.parametrize("power", [-100, 30])
def test_gradient_error_scales_with_f(power):
    c = 2.0**power  # exact in floating point
    x = np.array([0.3, -0.8, 1.1])
    pairs = [
        (Quadratic(Q, B[:DIM]), Quadratic(c * Q, c * B[:DIM])),
        (SmoothMax(A, B, Q, 0.4), SmoothMax(c * A, c * B, c * Q, c * 0.4)),
        (Symbolic("exp(x) - x*y + z"), Symbolic(f"2^{power}*(exp(x) - x*y + z)")),
        (_callables(), Objective(lambda x: 0, lambda x: c * _callables().grad(x),
                                 lambda x: c * _callables().hess(x), dim=DIM)),
        (Separable.power([0, 1, 2], 4), Separable.power([0, 1, 2], 4, [c] * 3)),
    ]  # fmt: skip
    for f, scaled in pairs:
        # The formula may be evaluated in another order; within a factor 2 is what an error estimate means.
        ratio = scaled.gradient_error(x) / (c * f.gradient_error(x))
        assert np.all((ratio > 0.5) & (ratio < 2))


@pytest.mark.parametrize("name", ["quadratic", "logistic", "ridge", "smooth max", "symbolic"])
def test_gradient_error_covers_the_rounding_and_no_more_than_needed(name):
    f, formula = make(name), FORMULAS[name][1]()
    for x in RNG.normal(size=(10, DIM)) * 3:
        at = {s: sympy.Float(float(v), 40) for s, v in zip(X, x, strict=True)}
        exact = np.array([float(formula.diff(s).evalf(40, subs=at) - sympy.Float(float(g), 40))
                          for s, g in zip(X, f.grad(x), strict=True)])  # fmt: skip
        assert np.all(np.abs(exact) <= f.gradient_error(x))
        terms = np.abs(f.hess(x)) @ np.abs(x) + np.abs(f.grad(x)) + np.abs(A).sum() + np.abs(B).sum()
        assert np.all(f.gradient_error(x) <= 1e-14 * terms)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("abs(x)", "x = 0"),
        ("max(x, y)", r"(x - y|-x \+ y) = 0"),
        ("min(x, y) + x^2", r"(x - y|-x \+ y) = 0"),
        ("max(x, y)^2", r"(x - y|-x \+ y) = 0"),
        ("sqrt((x - y)^2)", r"(x - y|-x \+ y) = 0"),
        ("abs(x - 1000000000) + y^2", "x - 1000000000 = 0"),
        ("exp(abs(x)) + y^2", "x = 0"),
        ("abs(sin(x))", r"sin\(x\) = 0"),
        ("abs(abs(x) - 1)^2 + y", "x = 0"),
        ("sign(y) + x", "y = 0"),
        ("Heaviside(x)*x", "x = 0"),
        ("Piecewise((x^2/2, x < 1), (x, True))", "x - 1 = 0"),
    ],
)
def test_symbolic_refuses_kinks(text, where):
    """Flows of these were silently wrong, or crawled: the theory asks for a continuous gradient."""
    with pytest.raises(InvalidInputError, match=f"has a kink where {where}, as at .*from_sympy"):
        Symbolic(text)


@pytest.mark.parametrize(
    "text",
    [
        "max(x, 0)^2",
        "x*abs(x)",
        "(x + y)*abs(x + y)/3",
        "abs(x)^3",
        "abs(x)^1.1",
        "Heaviside(x)*x^2",
        "Piecewise((x^2/2, abs(x) < 1), (abs(x) - 1/2, True))",
        "Piecewise((x^2, x > 3), (6*x - 9, True))",
        "max(x - exp(y), 0)^2 + y^2",
        "log(1 + exp(x)) + max(0, 1 - x*y)^2",
        "exp(abs(x)) - abs(x)",
        "abs(x^2 - 2)^2",
        "abs(x)^4 + 1/abs(x + 3)",
        "abs(x^2 + 1)",
    ],
)
def test_symbolic_allows_continuous_gradients(text):
    assert Symbolic(text).dim <= 2


@pytest.mark.parametrize("name", [n for n in FORMULAS if n != "symbolic"])
def test_minimize_reaches_the_rounding_of_the_gradient(name):
    f = make(name)
    x, value = f.minimize()
    assert np.all(np.abs(f.grad(x)) <= 10 * f.gradient_error(x))
    assert value == f.value(x)
    for d in RNG.normal(size=(50, DIM)):
        assert f.value(x + 0.1 * d) > value


def test_minimize_is_the_exact_solution_of_a_rational_system():
    # Hilbert matrix of order 4: x = H^-1 b in integers for b = (1, 0, 0, 0).
    H = [[1 / (i + j + 1) for j in range(4)] for i in range(4)]
    x, value = Quadratic(H, [1, 0, 0, 0]).minimize()
    np.testing.assert_allclose(x, [16, -120, 240, -140], rtol=1e-11)
    assert value == pytest.approx(-8, rel=1e-11)


def test_minimize_on_a_line_of_minimisers():
    f = Quadratic([[1, 2], [2, 4]], [1, 2])
    np.testing.assert_allclose(f.minimize()[0], [0.2, 0.4], atol=1e-15)
    # From another start: the nearest point of x + 2y = 1.
    np.testing.assert_allclose(f.minimize([1.2, 2.4])[0], [0.2, 0.4], atol=1e-15)
    np.testing.assert_allclose(f.minimize([2.2, -0.6])[0], [2.2, -0.6], atol=1e-15)
    assert (f.convex, f.strong_convexity) == (True, 0.0)


@pytest.mark.parametrize(
    ("make_f", "start", "words"),
    [
        (lambda: Quadratic([[1, 0], [0, -1]]), None, "unbounded below, Q has the eigenvalue -1"),
        (lambda: Quadratic([[1, 2], [2, 4]], [1, 0]), None, "in the kernel of Q"),
        (lambda: LogisticQuadratic([[1, 1]], [[1, 0], [0, -1]]), None, "not convex and unbounded below"),
        (lambda: RidgeLogistic([[1], [2]], [1, 1], 0), None, "no minimiser"),
        (lambda: Symbolic("exp(x)"), None, "no minimiser"),
        (lambda: Symbolic("cos(x)"), None, "not a minimiser"),
        (lambda: Symbolic("x**3"), [1.0], "not a minimiser"),
        (lambda: Symbolic("x - log(x)"), None, "not finite at the start"),
        (lambda: Separable(np.cosh, np.sinh, np.cosh, dim=2, minimizers=[0, 0.1]), None, r"minimizers\[1\]"),
    ],
)
def test_minimize_says_why_it_cannot(make_f, start, words):
    with pytest.raises(FilippovError, match=words):
        make_f().minimize(start)


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("x - log(x)", [3.0], [1]),
        ("100*(y - x^2)^2 + (1 - x)^2", None, [1, 1]),
        ("(x - 1)^4 + y^2", None, [1, 0]),
        ("exp(x) - x - 1 + (y - 3)^2", [2.0, 0.0], [0, 3]),
    ],
)
def test_minimize_formulas(text, start, expected):
    np.testing.assert_allclose(Symbolic(text).minimize(start)[0], expected, atol=1e-12)


def test_separable_power():
    f = Separable.power([1, -2], 4, [1, 2])
    assert (f.minimizers.tolist(), f.convex, f.strong_convexity) == ([1, -2], True, 0.0)
    np.testing.assert_array_equal(f.minimize()[0], [1, -2])
    np.testing.assert_array_equal(f.hvp([2, 0], [1, 3]), f.hess([2, 0]) @ [1, 3])
    square = Separable.power([1, -2], 2, [1, 3])
    assert (square.coordinate_smoothness.tolist(), square.strong_convexity) == ([1, 3], 1)
    np.testing.assert_array_equal(Separable.power([1.0], 2.5).third([1.0], [0.0]), [0])
    with pytest.raises(InvalidInputError, match="p must be at least 2"):
        Separable.power([1.0], 1.5)
    with pytest.raises(InvalidInputError, match="weights must be positive"):
        Separable.power([1.0], 2, [-1])


def test_symbolic_reads_text_and_expressions_alike():
    s, t = sympy.symbols("s t")  # plain symbols, not real ones
    f, g = Symbolic(abs(s) ** 3 + t**2 * s, [t, s]), Symbolic("abs(s)^3 + t^2*s", ["t", "s"])
    assert f.variables == g.variables == ("t", "s")
    for part in ("value", "grad", "hess"):
        np.testing.assert_array_equal(getattr(f, part)([2, -1]), getattr(g, part)([2, -1]))
    assert f.value([2, -1]) == 1 - 4
    np.testing.assert_array_equal(f.grad([2, -1]), [-4, 1])
    assert Symbolic("x10 + x2*x1").variables == ("x1", "x2", "x10")
    np.testing.assert_array_equal(Symbolic("x^2", ["y", "x"]).grad([5, 3]), [0, 6])


def test_symbolic_recognises_quadratics():
    f = Symbolic("(y - 0.5*x)**2/2 + x + 7")
    assert f.is_quadratic
    np.testing.assert_array_equal(f.quadratic.Q, [[0.25, -0.5], [-0.5, 1]])
    np.testing.assert_array_equal(f.quadratic.b, [-1, 0])
    assert (f.convex, f.strong_convexity, f.coordinate_smoothness.tolist()) == (True, 0.0, [0.75, 1.5])
    assert f.hessian_variation(np.linalg.norm) == (0, 0)
    assert Symbolic("x^2 - y^2").convex is False
    x, value = Symbolic("(x - 1)^2 + 7").minimize()
    assert (x.tolist(), value) == ([1], 7)
    for other in ("x*abs(x)", "max(x - y, 0)^2", "x^3", "Piecewise((x^2, x > 0), (2*x^2, True))"):
        assert not Symbolic(other).is_quadratic
        assert Symbolic(other).hessian_variation(np.linalg.norm) is None


def test_symbolic_at_kinks_and_outside_its_domain():
    f = Symbolic(
        "Max(x - y, 0)^2 + x*abs(x) + sign(y)*y^2 + Heaviside(x)*x^3 + Piecewise((x^2, x > 0), (0, True))"
    )
    assert f.value([3, 1]) == 4 + 9 + 1 + 27 + 9
    np.testing.assert_array_equal(f.grad([3, 1]), [4 + 6 + 27 + 6, -4 + 2])
    np.testing.assert_array_equal(f.hess([3, 1]), [[2 + 2 + 18 + 2, -2], [-2, 2 + 2]])
    g = Symbolic("1/x + log(y) + exp(z)")
    assert not np.any(np.isfinite(g.grad([0, 0, 1000])))
    assert np.isnan(g.value([1, -1, 0]))


@pytest.mark.parametrize("name", [n for n in FORMULAS if n in {*KNOWN_CONSTANTS, "symbolic"}])
def test_pickle_and_repr(name):
    f, x = make(name), np.array([0.3, -0.8, 1.1])
    f.grad(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(f)).hess(x), f.hess(x))
    assert repr(f).startswith(type(f).__name__)
    assert len(repr(f)) < 90


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Quadratic([[1, 2], [3, 4]]), InvalidInputError, "Q must be symmetric"),
        (lambda: Quadratic([[1, 2]]), InvalidInputError, "Q must be square"),
        (lambda: Quadratic(Q, [1]), InvalidInputError, r"b must be a vector of shape \(3,\)"),
        (lambda: LogisticQuadratic(A, np.eye(2)), InvalidInputError, "Q must be a matrix with 3 columns"),
        (lambda: RidgeLogistic(A, 2 + 0 * Y, 1), InvalidInputError, "y must hold labels -1 and 1, got 2"),
        (lambda: RidgeLogistic(A, Y, -1), InvalidInputError, "mu must be a finite number >= 0, got -1"),
        (lambda: RidgeLogistic(A, Y, "a"), InvalidTypeError, "mu must be a number"),
        (lambda: SmoothMax(A, B, Q, tau=0), InvalidInputError, "tau must be a positive"),
        (lambda: SmoothMax(A, B[1:], Q), InvalidInputError, "b must be a vector of shape"),
        (lambda: Objective(3, abs, dim=1), InvalidTypeError, "fun must be callable, got int"),
        (lambda: Objective(abs, abs, 3, dim=1), InvalidTypeError, "hess must be callable, got int"),
        (lambda: Objective(abs, abs, dim=0), InvalidInputError, "dim must be a positive integer, got 0"),
        (lambda: Objective(abs, abs, dim=1.5), InvalidTypeError, "dim must be a positive integer"),
        (lambda: Objective(sum, lambda x: [1, 2, 3], dim=2).grad([0, 0]), InvalidInputError,
         r"grad must return shape \(2,\), got shape \(3,\)"),
        (lambda: Objective(abs, abs, dim=2).value([0, 0]), InvalidInputError, "fun must return shape"),
        (lambda: Objective(sum, abs, abs, dim=2).hess([0, 0]), InvalidInputError, "hess must return shape"),
        (lambda: Objective(sum, lambda x: None, dim=2).grad([0, 0]), InvalidInputError, "grad must return"),
        (lambda: Objective(sum, abs, dim=2, scale=[1, 0]), InvalidInputError, "scale must be positive"),
        (lambda: Objective(sum, abs, dim=2, coordinate_smoothness=[1, -1]), InvalidInputError, "be >= 0"),
        (lambda: Objective(sum, abs, dim=2, strong_convexity="a"), InvalidTypeError, "strong_convexity"),
        (lambda: Separable(abs, abs, sum, dim=2).hess([0, 0]), InvalidInputError, "hess must return"),
        (lambda: Quadratic(Q).grad([1, 2]), InvalidInputError, r"x must have shape \(3,\), got shape \(2,\)"),
        (lambda: Quadratic(Q).grad("abc"), InvalidTypeError, r"x must be a vector of shape \(3,\), got str"),
        (lambda: Quadratic(Q).hvp(np.ones(3), [1]), InvalidInputError, r"d must have shape \(3,\)"),
        (lambda: Quadratic(Q).hessian_variation(3), InvalidTypeError, "dual_norm must be callable"),
        (lambda: Symbolic("x**3").coordinate_smoothness, InvalidInputError, "no global bound is known"),
        (lambda: Objective(sum, abs, dim=2).coordinate_smoothness, InvalidInputError, "no global bound"),
        (lambda: Symbolic("x + y", ["x"]), InvalidInputError, "unknown variable y"),
        (lambda: Symbolic(X[0] + X[1], [X[0]]), InvalidInputError, "expression holds x2, not among"),
        (lambda: Symbolic("3"), InvalidInputError, "no variables"),
        (lambda: Symbolic("x", "x"), InvalidTypeError, "variables must be a sequence"),
        (lambda: Symbolic("x", ["x", "x"]), InvalidInputError, "distinct"),
        (lambda: Symbolic(3.5, ["x"]), InvalidTypeError, "must be text or a sympy expression"),
        (lambda: Symbolic(sympy.I * X[0]), InvalidInputError, "real and finite"),
        (lambda: Symbolic(sympy.Function("g")(X[0])), InvalidInputError, "undefined function g"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_given_constants_are_used():
    f = Objective(sum, abs, dim=2, coordinate_smoothness=[1, 2], strong_convexity=-0.5)
    assert (f.coordinate_smoothness.tolist(), f.strong_convexity, f.convex) == ([1, 2], -0.5, False)
    assert (_callables().convex, _callables().hessian_is_approximate) == (None, False)
    assert _gradient_only().hessian_is_approximate


@pytest.mark.parametrize("formula", ["Max((x - 1)**5, 0) + y**2", "Max((x - y)**7, 0) + x**2 + y**2"])
def test_a_smooth_part_with_a_flat_root_is_no_kink(formula: str) -> None:
    objective = Symbolic(formula)
    assert objective.grad([3.0, 0.5]).shape == (2,)
