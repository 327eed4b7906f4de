"""The make-up of sliding velocities, against closed forms."""

import matplotlib as mpl
import numpy as np
import pytest

from filippov import PiecewiseSmooth, Relay, solve
from filippov.drawing.plotting_weights import plot_weights, sliding_weights
from filippov.errors import InvalidTypeError
from flows import Quadratic, SignFlow

mpl.use("Agg")


def test_one_surface_the_control_balances_the_drift():
    # x' = sin t / 2 - sgn(x): from 0.3 it reaches 0 and slides with u = sin(t)/2, the control that holds x = 0.
    relay = Relay(lambda t, x: [0.5 * np.sin(t)], lambda t, x: [[1.0]], lambda t, x: [x[0]])
    path = solve(relay, (0, 5), [0.3])
    entry = path.switches[0].t
    t, u = sliding_weights(path)
    before = t < entry
    assert before.any()
    assert np.all(u[0, before] == 1.0)
    # The time of entry is there twice, with both modes.
    after = np.arange(t.size) >= np.count_nonzero(t < entry) + 1
    np.testing.assert_allclose(u[0, after], 0.5 * np.sin(t[after]), atol=1e-7)
    # Scaling a coordinate changes nothing.
    scaled = Relay(lambda t, x: [1.5 * np.sin(t)], lambda t, x: [[3.0]], lambda t, x: [7.0 * x[0]])
    np.testing.assert_allclose(
        sliding_weights(solve(scaled, (0, 5), [0.9]))[1][0, after], u[0, after], atol=1e-7
    )


def test_two_surfaces_of_a_coupled_relay():
    gain = np.array([[1.0, 0.3], [-0.2, 1.0]])
    drift = np.array([0.4, -0.3])
    relay = Relay(lambda t, x: drift, lambda t, x: gain, lambda t, x: x)
    t, u = sliding_weights(solve(relay, (0, 3), [0.3, -0.2]))
    np.testing.assert_allclose(u[:, -1], np.linalg.solve(gain, drift), atol=1e-9)


def test_fields_that_are_not_affine_in_the_signs_leave_a_gap():
    # x3' = s1 s2 is no sum over surfaces.
    fields = {(a, b): (lambda t, x, a=a, b=b: [-a, -b, a * b]) for a in (-1, 1) for b in (-1, 1)}
    path = solve(PiecewiseSmooth(lambda t, x: x[:2], fields), (0, 2), [0.3, 0.5, 0.0])
    t, u = sliding_weights(path)
    assert np.all(np.isnan(u[:, t > 0.6]))
    one = (t > 0.31) & (t < 0.49)
    np.testing.assert_allclose(u[:, one], np.array([[0.0], [1.0]]).repeat(one.sum(), axis=1), atol=1e-9)


def test_the_picture_and_bad_arguments():
    import matplotlib.pyplot as plt

    relay = Relay(lambda t, x: [0.5], lambda t, x: [[1.0]], lambda t, x: [x[0]])
    ax = plot_weights(solve(relay, (0, 2), [0.3]))
    (line,) = [one for one in ax.lines if one.get_label() == "$u_{1}$"]
    assert line.get_ydata()[0] == 1.0
    assert line.get_ydata()[-1] == pytest.approx(0.5)
    plt.close("all")
    with pytest.raises(InvalidTypeError, match="trajectory must be"):
        plot_weights("path")
    with pytest.raises(InvalidTypeError, match="system must be PiecewiseSmooth or Relay, got SignFlow"):
        plot_weights(solve(SignFlow(Quadratic([[1.0]])), (0, 1), [1.0]))
