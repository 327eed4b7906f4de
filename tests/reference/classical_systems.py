"""Classical discontinuous systems with known solutions, for tests and benchmarks (gallery pages define their own).

Between its switches each of them is affine (a forcing is carried as two more states) or has a closed form, so the whole
path is known once the order of its modes is: switching times are roots, found here with 30 digits, of closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
from scipy.linalg import expm

from filippov import PiecewiseSmooth, Relay, Stewart, System

__all__ = ["SYSTEMS", "AffineLeg", "AffinePath", "ClassicalSystem", "affine_path"]

DIGITS = 30


@dataclass(frozen=True)
class AffineLeg:
    """x' = A x + b until the guard c.x + d = 0, which switches with this kind (None: until the end)."""

    A: Sequence[Sequence[float]]
    b: Sequence[float]
    guard: tuple[Sequence[float], float] | None = None
    kind: str = ""


class AffinePath:
    """A path of affine legs, to `DIGITS` digits."""

    def __init__(self, t0: float, x0: Sequence[Any], legs: Sequence[AffineLeg]) -> None:
        self.legs, self.starts, self.states = list(legs), [mp.mpf(t0)], [_extended(x0)]
        self.switches: list[tuple[float, str]] = []
        with mp.workdps(DIGITS):
            for leg in legs[:-1]:
                t, z = _follow(leg, self.states[-1])
                self.starts.append(self.starts[-1] + t)
                self.states.append(z)
                self.switches.append((float(self.starts[-1]), leg.kind))

    def __call__(self, t: float, count: int) -> np.ndarray:
        """Return the first `count` states at t."""
        i = max(k for k, start in enumerate(self.starts) if k == 0 or start <= t)
        with mp.workdps(DIGITS):
            z = _flow(self.legs[i], self.states[i], mp.mpf(t) - self.starts[i])
        return np.array([float(value) for value in z[:count]])


def affine_path(x0: Sequence[Any], legs: Sequence[AffineLeg], t0: float = 0.0) -> AffinePath:
    """Return the path of these legs from x0."""
    return AffinePath(t0, x0, legs)


def _extended(x0: Sequence[Any]) -> mp.matrix:
    with mp.workdps(DIGITS):
        return mp.matrix([*(mp.mpf(value) for value in x0), mp.mpf(1)])


def _matrix(leg: AffineLeg) -> mp.matrix:
    n = len(leg.b)
    rows = [[*(mp.mpf(a) for a in leg.A[i]), mp.mpf(leg.b[i])] for i in range(n)]
    return mp.matrix([*rows, [mp.mpf(0)] * (n + 1)])


def _flow(leg: AffineLeg, z: mp.matrix, t: Any) -> mp.matrix:
    return mp.expm(_matrix(leg) * t, method="taylor") * z


def _follow(leg: AffineLeg, z: mp.matrix) -> tuple[Any, mp.matrix]:
    """Return the time at which the guard of a leg next changes sign, and the state there."""
    assert leg.guard is not None
    c = mp.matrix([[*(mp.mpf(v) for v in leg.guard[0]), mp.mpf(leg.guard[1])]])
    M = np.array(_matrix(leg).tolist(), dtype=float)
    row = np.array(c.tolist(), dtype=float)[0]
    step, state = expm(M * SCAN), np.array(z.tolist(), dtype=float)[:, 0]
    k, state = 1, step @ state
    sign = np.sign(row @ state)
    while np.sign(row @ state) == sign:
        k, state = k + 1, step @ state
        if k * SCAN > 1e3:
            raise ValueError("the guard of this leg never changes sign")
    t = mp.mpf((k - 0.5) * SCAN)
    M30 = _matrix(leg)
    for _ in range(12):
        here = _flow(leg, z, t)
        correction = (c * here)[0] / (c * (M30 * here))[0]
        t -= correction
        if abs(correction) < mp.mpf(10) ** (3 - DIGITS):
            break
    return t, _flow(leg, z, t)


SCAN = 1.0 / 128.0
"""Step in which guards are scanned; no two roots of the systems below are nearer."""


@dataclass(frozen=True)
class ClassicalSystem:
    """A system, a start, and its solution.

    Attributes
    ----------
    name : str
    source : str
        Where it comes from.
    build : callable () -> System
    x0 : tuple of float
    t_end : float
    exact : callable (t) -> (n,)
        The solution.
    switches : callable () -> list of (time, kind)
        All of them up to t_end.
    slides : bool
    """

    name: str
    source: str
    build: Callable[[], System]
    x0: tuple[float, ...]
    t_end: float
    exact: Callable[[float], np.ndarray]
    switches: Callable[[], list[tuple[float, str]]]
    slides: bool = True


def _from_path(
    name: str,
    source: str,
    build: Callable[[], System],
    x0: tuple[float, ...],
    t_end: float,
    legs: Callable[[], list[AffineLeg]],
    extra: tuple[float, ...] = (),
    *,
    slides: bool = True,
) -> ClassicalSystem:
    @cache
    def path() -> AffinePath:
        return affine_path((*x0, *extra), legs())

    return ClassicalSystem(
        name,
        source,
        build,
        x0,
        t_end,
        lambda t: path()(t, len(x0)),
        lambda: [switch for switch in path().switches if switch[0] <= t_end],
        slides,
    )


# -- dry friction -----------------------------------------------------------------------------------------------------

FRICTION, WEAKENING = 1.2, 0.3


def stick_slip() -> PiecewiseSmooth:
    """Return a block on a belt of speed 1 whose friction weakens linearly with the relative speed."""

    def slower(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([x[1], -x[0] + FRICTION - WEAKENING * (1.0 - x[1])])

    def faster(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([x[1], -x[0] - FRICTION + WEAKENING * (x[1] - 1.0)])

    return PiecewiseSmooth(
        lambda t, x: [x[1] - 1.0], {1: faster, -1: slower}, jac=lambda t, x: np.array([[0.0, 1.0]])
    )


def _slip_legs(rounds: int) -> list[AffineLeg]:
    slip = AffineLeg(
        [[0, 1], [-1, WEAKENING]], [0, mp.mpf(FRICTION) - mp.mpf(WEAKENING)], ((0, 1), -1), "sliding-entry"
    )
    stick = AffineLeg([[0, 0], [0, 0]], [1, 0], ((1, 0), -FRICTION), "sliding-exit")
    return [slip, *([stick, slip] * rounds)]


def stick_slip_period() -> float:
    """Return the period of the stick-slip orbit, which every path is on from its first stick on."""
    path = affine_path((FRICTION, 1.0), _slip_legs(1))
    return path.switches[1][0]


FORCE, FREQUENCY = 1.2, 0.8


def forced_stick_slip() -> PiecewiseSmooth:
    """Return x'' = -x - 1.2 Sgn(x' - 1) + cos(0.8 t)."""
    cos = np.cos
    return PiecewiseSmooth(
        lambda t, x: [x[1] - 1.0],
        {
            1: lambda t, x: np.array([x[1], -x[0] - FORCE + cos(FREQUENCY * t)]),
            -1: lambda t, x: np.array([x[1], -x[0] + FORCE + cos(FREQUENCY * t)]),
        },
        jac=lambda t, x: np.array([[0.0, 1.0]]),
        rate=lambda t, x: np.zeros(1),
    )


def _forced_legs() -> list[AffineLeg]:
    turn = [[0, 0, 0, -FREQUENCY], [0, 0, FREQUENCY, 0]]

    def slip(sign: int, kind: str) -> AffineLeg:
        return AffineLeg(
            [[0, 1, 0, 0], [-1, 0, 1, 0], *turn], [0, -sign * FORCE, 0, 0], ((0, 1, 0, 0), -1), kind
        )

    def stick(sign: int) -> AffineLeg:
        return AffineLeg(
            [[0, 0, 0, 0], [0, 0, 0, 0], *turn], [1, 0, 0, 0], ((-1, 0, 1, 0), -sign * FORCE), "sliding-exit"
        )

    below, above = slip(-1, "sliding-entry"), slip(1, "sliding-entry")
    across = slip(-1, "crossing")
    end = AffineLeg(below.A, below.b)
    return [below, stick(-1), across, above, stick(-1), across, above, stick(-1), end]


# -- relay feedback -------------------------------------------------------------------------------------------


def relay_second_order() -> Relay:
    """Return x1'' = -Sgn(x1 + x1'), which slides on x1 + x1' = 0."""
    return Relay(
        lambda t, x: np.array([x[1], 0.0]),
        lambda t, x: np.array([[0.0], [1.0]]),
        lambda t, x: [x[0] + x[1]],
        jac=lambda t, x: np.array([[1.0, 1.0]]),
        rate=lambda t, x: np.zeros(1),
    )


def _second_order_legs() -> list[AffineLeg]:
    def thrown(u: int, kind: str) -> AffineLeg:
        return AffineLeg([[0, 1], [0, 0]], [0, -u], ((1, 1), 0), kind)

    return [thrown(1, "crossing"), thrown(-1, "sliding-entry"), AffineLeg([[0, 1], [0, -1]], [0, 0])]


LAGS = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]])


def relay_third_order() -> Relay:
    """Return the triple lag 1/(s + 1)^3 under u = -Sgn(y): its limit cycle is Tsypkin's."""
    return Relay(
        lambda t, x: LAGS @ x,
        lambda t, x: np.array([[0.0], [0.0], [1.0]]),
        lambda t, x: [x[0]],
        jac=lambda t, x: np.array([[1.0, 0.0, 0.0]]),
        rate=lambda t, x: np.zeros(1),
    )


def _third_order_legs() -> list[AffineLeg]:
    def lag(u: int) -> AffineLeg:
        return AffineLeg(LAGS.tolist(), [0, 0, -u], ((1, 0, 0), 0), "crossing")

    return [lag(1), lag(-1), lag(1), lag(-1), lag(1)]


# -- others ---------------------------------------------------------------------------------------------------


def bilinear_oscillator() -> PiecewiseSmooth:
    """Return x'' = -x for x < 0 and x'' = -4 x for x > 0: continuous, of period pi + pi/2."""
    return PiecewiseSmooth(
        lambda t, x: [x[0]],
        {1: lambda t, x: np.array([x[1], -4.0 * x[0]]), -1: lambda t, x: np.array([x[1], -x[0]])},
        jac=lambda t, x: np.array([[1.0, 0.0]]),
        rate=lambda t, x: np.zeros(1),
    )


def _bilinear_legs() -> list[AffineLeg]:
    def spring(k: int) -> AffineLeg:
        return AffineLeg([[0, 1], [-k, 0]], [0, 0], ((1, 0), 0), "crossing")

    return [spring(4), spring(1), spring(4), spring(1), spring(4)]


HARVEST, THRESHOLD = 0.5, 0.8


def predator_prey() -> PiecewiseSmooth:
    """Return Lotka and Volterra's model with predators y harvested at rate 0.5 y while y > 0.8."""
    return PiecewiseSmooth(
        lambda t, x: [x[1] - THRESHOLD],
        {
            1: lambda t, x: np.array([x[0] * (1.0 - x[1]), x[1] * (x[0] - 1.0 - HARVEST)]),
            -1: lambda t, x: np.array([x[0] * (1.0 - x[1]), x[1] * (x[0] - 1.0)]),
        },
        jac=lambda t, x: np.array([[0.0, 1.0]]),
        rate=lambda t, x: np.zeros(1),
    )


PREY_START = (0.9, 0.75)


@cache
def _predator_prey_path() -> tuple[Any, Any, Any, Any, Any]:
    """Return (rising motion, entry time, prey at entry, exit time, motion after)."""
    with mp.workdps(20):
        rise = mp.odefun(
            lambda t, z: [z[0] * (1 - z[1]), z[1] * (z[0] - 1)], 0, [mp.mpf(v) for v in PREY_START], degree=24
        )
        entry = mp.findroot(lambda t: rise(t)[1] - mp.mpf(THRESHOLD), (1.0, 1.1))
        prey = rise(entry)[0]
        # On y = T: x' = x (1 - T), until the harvested field turns upwards at x = 1 + q.
        leave = entry + mp.log((1 + mp.mpf(HARVEST)) / prey) / (1 - mp.mpf(THRESHOLD))
        after = mp.odefun(
            lambda t, z: [z[0] * (1 - z[1]), z[1] * (z[0] - 1 - mp.mpf(HARVEST))],
            leave,
            [1 + mp.mpf(HARVEST), mp.mpf(THRESHOLD)],
            degree=24,
        )
        return rise, entry, prey, leave, after


def _predator_prey_exact(t: float) -> np.ndarray:
    rise, entry, prey, leave, after = _predator_prey_path()
    with mp.workdps(20):
        if t <= entry:
            z = rise(mp.mpf(t))
        elif t <= leave:
            z = [prey * mp.exp((1 - mp.mpf(THRESHOLD)) * (mp.mpf(t) - entry)), mp.mpf(THRESHOLD)]
        else:
            z = after(mp.mpf(t))
        return np.array([float(value) for value in z])


CAPACITY, INDUCTANCE, LOAD, SOURCE, WANTED, SLOPE = 1.0, 0.5, 2.0, 4.0, 1.5, 0.5
"""Scaled buck converter: capacitor, inductor, load resistance, source, reference voltage, slope of the sliding line."""


def buck_converter() -> Relay:
    """Return a buck converter under sliding-mode control: the switch closes while s = v - V + lambda v' < 0."""

    def drift(t: float, x: np.ndarray) -> np.ndarray:
        v, i = x
        return np.array([(i - v / LOAD) / CAPACITY, (0.5 * SOURCE - v) / INDUCTANCE])

    row = _buck_row()
    return Relay(
        drift,
        lambda t, x: np.array([[0.0], [0.5 * SOURCE / INDUCTANCE]]),
        lambda t, x: [row @ x - WANTED],
        jac=lambda t, x: row[None, :],
        rate=lambda t, x: np.zeros(1),
    )


def _buck_row() -> np.ndarray:
    return np.array([1.0 - SLOPE / (LOAD * CAPACITY), SLOPE / CAPACITY])


def _buck_legs() -> list[AffineLeg]:
    A = [[-1 / (LOAD * CAPACITY), 1 / CAPACITY], [-1 / INDUCTANCE, 0]]
    row = _buck_row()
    on = AffineLeg(A, [0, SOURCE / INDUCTANCE], (row.tolist(), -WANTED), "crossing")
    off = AffineLeg(A, [0, 0], (row.tolist(), -WANTED), "sliding-entry")
    # On s = 0: lambda v' = V - v, and i follows from s = 0: i' = -(row_0 / row_1) v'.
    rate = -1 / SLOPE
    ratio = -row[0] / row[1]
    slide = AffineLeg([[rate, 0], [ratio * rate, 0]], [-rate * WANTED, -ratio * rate * WANTED])
    return [on, off, slide]


def gene_network() -> PiecewiseSmooth:
    """Return two genes that repress themselves, each on a threshold 1, and a third made only where both are present.

    Production is a product of steps, so that on {x1 = x2 = 1} the hull holds a family of velocities for the third.
    """

    def field(make1: float, make2: float, make3: float) -> Callable[[float, np.ndarray], np.ndarray]:
        made = np.array([make1, make2, make3])
        return lambda t, x: made - x

    return PiecewiseSmooth(
        lambda t, x: x[:2] - 1.0,
        {
            (-1, -1): field(3.0, 2.0, 0.0),
            (-1, 1): field(2.0, 0.0, 0.0),
            (1, -1): field(0.0, 3.0, 0.0),
            (1, 1): field(0.0, 0.0, 4.0),
        },
        jac=lambda t, x: np.eye(2, 3),
        rate=lambda t, x: np.zeros(2),
    )


def _gene_legs() -> list[AffineLeg]:
    minus = [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]
    toward = AffineLeg(minus, [3, 2, 0], ((1, 0, 0), -1), "sliding-entry")
    # On x1 = 1, x2 < 1: 3 (1 - a) = 1, a = 2/3 the share of x1 > 1, so x2' = 2/3 + 2 - x2 = 8/3 - x2.
    along = AffineLeg(
        [[0, 0, 0], [0, -1, 0], [0, 0, -1]], [0, mp.mpf(8) / 3, 0], ((0, 1, 0), -1), "sliding-change"
    )
    # On both, with shares a of x1 > 1 and b of x2 > 1: (1 - a)(3 - b) = 1 and (1 - b)(2 + a) = 1.
    with mp.workdps(DIGITS):
        a = mp.findroot(lambda s: (1 - s) * (2 + 1 / (2 + s)) - 1, 0.55)
        b = 1 - 1 / (2 + a)
        made = 4 * a * b
    rest = AffineLeg([[0, 0, 0], [0, 0, 0], [0, 0, -1]], [0, 0, made])
    return [toward, along, rest]


def codimension_two() -> Relay:
    """Return a relay system with a nonsymmetric M that slides on two surfaces in turn, then on both."""
    gain = np.array([[1.0, 0.2], [0.1, 1.0], [0.5, -0.3]])
    return Relay(
        lambda t, x: np.array([0.3, 0.2, -x[2]]),
        lambda t, x: gain,
        lambda t, x: x[:2],
        jac=lambda t, x: np.eye(2, 3),
        rate=lambda t, x: np.zeros(2),
    )


def _codimension_two_legs() -> list[AffineLeg]:
    A = [[0, 0, 0], [0, 0, 0], [0, 0, -1]]
    q = mp.mpf
    with mp.workdps(DIGITS):
        B = [[q("1.0"), q("0.2")], [q("0.1"), q("1.0")], [q("0.5"), q("-0.3")]]
        a = [q("0.3"), q("0.2"), q(0)]

        def velocity(u1: Any, u2: Any) -> list[Any]:
            return [a[i] - B[i][0] * u1 - B[i][1] * u2 for i in range(3)]

        u2 = (a[1] - B[1][0]) / B[1][1]  # x2 = 0 and x1 > 0: u1 = 1
        det = B[0][0] * B[1][1] - B[0][1] * B[1][0]
        both = ((a[0] * B[1][1] - B[0][1] * a[1]) / det, (B[0][0] * a[1] - B[1][0] * a[0]) / det)
        one = velocity(1, u2)
        two = velocity(*both)
    return [
        AffineLeg(A, velocity(1, -1), ((0, 1, 0), 0), "sliding-entry"),
        AffineLeg(A, [one[0], 0, one[2]], ((1, 0, 0), 0), "sliding-change"),
        AffineLeg(A, [0, 0, two[2]]),
    ]


def timed_release() -> Relay:
    """Return x' = t - Sgn(x): slides from its arrival until t = 1, when time alone releases it."""
    return Relay(lambda t, x: np.array([t]), lambda t, x: np.eye(1), lambda t, x: x)


def _timed_exact(t: float) -> np.ndarray:
    if t <= _TIMED_ENTRY:
        return np.array([0.3 - t + t * t / 2])
    return np.array([0.0 if t <= 1 else (t - 1.0) ** 2 / 2])


_TIMED_ENTRY = 1.0 - 0.4**0.5


def stewart_three_regions() -> Stewart:
    """Return three sectors of the plane whose fields meet at the origin: slide on a tie, then arrive and rest."""
    angles = 2.0 * np.pi * np.arange(3) / 3.0
    normals = np.column_stack([np.cos(angles), np.sin(angles)])
    return Stewart(
        [lambda t, x, n=n: n.copy() for n in normals], lambda t, x: normals @ x, jac=lambda t, x: normals
    )


def _stewart_exact(t: float) -> np.ndarray:
    """Region 0 (n_0 . x least) has x' = (1, 0); it ends on the tie with region 2 at x1 = -0.3 / sqrt(3)."""
    entry = 1.0 - 0.3 / 3.0**0.5
    if t <= entry:
        return np.array([-1.0 + t, 0.3])
    # On the tie the mean of n_0 and n_2 is a vector of length 1/2 along the tie.
    point, direction = np.array([-0.3 / 3.0**0.5, 0.3]), np.array([0.25, -0.25 * 3.0**0.5])
    arrival = entry + np.linalg.norm(point) / 0.5
    return point + (min(t, arrival) - entry) * direction


_STEWART_SWITCHES = [
    (1.0 - 0.3 / 3.0**0.5, "sliding-entry"),
    (1.0 - 0.3 / 3.0**0.5 + 2.0 * 0.6 / 3.0**0.5, "arrival"),
]

SHIFT, LIFT = -0.5, 0.5
"""Of the focus from the switching line (it lies behind it), and of the field (1, lift) on the other side."""


def boundary_equilibrium() -> PiecewiseSmooth:
    """Return a focus that has crossed the switching line x1 = 0: what is left of it is a pseudo-equilibrium."""
    return PiecewiseSmooth(
        lambda t, x: x[:1],
        {
            1: lambda t, x: np.array([SHIFT - x[0] - x[1], x[0] - SHIFT - x[1]]),
            -1: lambda t, x: np.array([1.0, LIFT]),
        },
        jac=lambda t, x: np.array([[1.0, 0.0]]),
        rate=lambda t, x: np.zeros(1),
    )


@cache
def _boundary_path() -> AffinePath:
    into = AffineLeg([[-1, -1], [1, -1]], [SHIFT, -SHIFT], ((1, 0), 0), "sliding-entry")
    return affine_path((0.5, 1.0), [into, into])


def _boundary_exact(t: float) -> np.ndarray:
    """On x1 = 0, x2' = (3/4 - x2/2) / (3/2 + x2): with w = 3/2 - x2, w exp(-w/3) falls as exp(-t/6)."""
    path = _boundary_path()
    entry = path.starts[1]
    if t <= entry:
        return path(t, 2)
    with mp.workdps(DIGITS):
        w = mp.mpf(3) / 2 - path.states[1][1]
        third = w / 3 * mp.exp(-w / 3 - (mp.mpf(t) - entry) / 6)
        return np.array([0.0, float(mp.mpf(3) / 2 + 3 * mp.lambertw(-third))])


def amplitude_control() -> PiecewiseSmooth:
    """Return a rotation whose radius is driven to 1 from both sides: it slides on a circle."""
    return PiecewiseSmooth(
        lambda t, x: [x @ x - 1.0],
        {
            1: lambda t, x: np.array([-x[1] - x[0], x[0] - x[1]]),
            -1: lambda t, x: np.array([-x[1] + x[0], x[0] + x[1]]),
        },
        jac=lambda t, x: 2.0 * x[None, :],
        rate=lambda t, x: np.zeros(1),
    )


def _amplitude_exact(t: float) -> np.ndarray:
    return max(2.0 * np.exp(-t), 1.0) * np.array([np.cos(t), np.sin(t)])


SYSTEMS: dict[str, ClassicalSystem] = {
    entry.name: entry
    for entry in (
        _from_path(
            "stick-slip",
            "Galvanetto and Bishop, Int. J. Mech. Sci. 1994: block on a belt, weakening friction",
            stick_slip,
            (1.0, 0.2),
            25.0,
            lambda: _slip_legs(3),
        ),
        _from_path(
            "forced stick-slip",
            "Shaw, J. Sound Vib. 1986: dry friction oscillator with harmonic forcing",
            forced_stick_slip,
            (0.0, 0.0),
            20.0,
            _forced_legs,
            (1.0, 0.0),
        ),
        _from_path(
            "relay order 2",
            "Fluegge-Lotz, Discontinuous Automatic Control, 1953: double integrator, linear switching line",
            relay_second_order,
            (3.0, 0.0),
            8.0,
            _second_order_legs,
        ),
        _from_path(
            "relay order 3",
            "Tsypkin, Relay Control Systems, 1984: triple lag, limit cycle",
            relay_third_order,
            (0.2, 0.1, 0.3),
            8.0,
            _third_order_legs,
            slides=False,
        ),
        _from_path(
            "bilinear oscillator",
            "Shaw and Holmes, J. Sound Vib. 1983",
            bilinear_oscillator,
            (1.0, 0.5),
            8.5,
            _bilinear_legs,
            slides=False,
        ),
        ClassicalSystem(
            "predator-prey",
            "Dercole, Gragnani and Rinaldi, Theor. Popul. Biol. 2007 (threshold policy); Lotka-Volterra in between",
            predator_prey,
            PREY_START,
            6.0,
            _predator_prey_exact,
            lambda: [
                (float(_predator_prey_path()[1]), "sliding-entry"),
                (float(_predator_prey_path()[3]), "sliding-exit"),
            ],
        ),
        _from_path(
            "buck converter",
            "Venkataramanan, Sabanovic and Cuk 1985; Utkin, Guldner and Shi 2009, chapter 12",
            buck_converter,
            (0.0, 0.0),
            5.0,
            _buck_legs,
        ),
        _from_path(
            "gene network",
            "after Plahte and Kjoglum, Physica D 2005: thresholds met together",
            gene_network,
            (0.2, 0.1, 0.0),
            4.0,
            _gene_legs,
        ),
        _from_path(
            "codimension 2",
            "Utkin, Sliding Modes in Control and Optimization, 1992: two relays, M not symmetric",
            codimension_two,
            (1.0, -0.5, 0.7),
            5.0,
            _codimension_two_legs,
        ),
        ClassicalSystem(
            "boundary equilibrium",
            "di Bernardo, Budd, Champneys and Kowalczyk, Piecewise-smooth Dynamical Systems, 2008, chapter 5",
            boundary_equilibrium,
            (0.5, 1.0),
            8.0,
            _boundary_exact,
            lambda: _boundary_path().switches,
        ),
        ClassicalSystem(
            "amplitude control",
            "sliding on a circle; Filippov 1988, section 4, formula (12) with a curved surface",
            amplitude_control,
            (2.0, 0.0),
            10.0,
            _amplitude_exact,
            lambda: [(float(np.log(2.0)), "sliding-entry")],
        ),
        ClassicalSystem(
            "timed release",
            "x' = t - Sgn(x)",
            timed_release,
            (0.3,),
            3.0,
            _timed_exact,
            lambda: [(_TIMED_ENTRY, "sliding-entry"), (1.0, "sliding-exit")],
        ),
        ClassicalSystem(
            "three regions",
            "Stewart, Numer. Math. 1990: regions by least indicator",
            stewart_three_regions,
            (-1.0, 0.3),
            2.0,
            _stewart_exact,
            lambda: _STEWART_SWITCHES,
        ),
    )
}
