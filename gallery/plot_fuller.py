"""
Fuller's problem: infinitely many switches in finite time
=========================================================

The optimal feedback of Fuller's problem, x'' = -Sgn(x + C x'|x'|), switches at times that shrink by a constant ratio and
add up. No loop over switches ends there: it has to be stopped, or the accumulation has to be recognised and passed.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import ChatteringError, PiecewiseSmooth, solve


def feedback(c):
    """Return x'' = -Sgn(x + c x'|x'|)."""
    return PiecewiseSmooth(
        lambda t, x: [x[0] + c * x[1] * abs(x[1])],
        {1: lambda t, x: np.array([x[1], -1.0]), -1: lambda t, x: np.array([x[1], 1.0])},
        jac=lambda t, x: np.array([[1.0, 2.0 * c * abs(x[1])]]),
    )


# %%
# Between switches x + x'^2/2 (or x - x'^2/2) is constant, so the speeds at switches fall by r = sqrt((1 - 2c)/(1 + 2c))
# each time, and the times from (1, 0) add up to v (1 + (1 + r)/(1 - r)) with v = 1/sqrt(1/2 + c).


def known(c):
    """Return the ratio of the intervals and the time of accumulation."""
    r, v = np.sqrt((1 - 2 * c) / (1 + 2 * c)), 1 / np.sqrt(0.5 + c)
    return r, v * (1 + (1 + r) / (1 - r))


C = np.sqrt((np.sqrt(33.0) - 1.0) / 24.0)
ratio, limit = known(C)
try:
    solve(feedback(C), (0, 4), [1.0, 0.0], rtol=1e-10, atol=1e-14)
except ChatteringError as error:
    print(f"refused: {error}")
    partial = error.trajectory
times = np.array([switch.t for switch in partial.switches])
gaps = np.diff(times)
print(f"ratios of the intervals: {(gaps[1:] / gaps[:-1]).round(9)}, closed form {ratio:.9f}")
print(
    f"the last of {times.size} switches is {limit - times[-1]:.1e} before the accumulation at t = {limit:.12f}"
)

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
axes[0].plot(*partial.sol(np.linspace(0, partial.t_end, 2000)), color="#0072B2", linewidth=2)
y = np.linspace(-1.1, 0.4, 200)
axes[0].plot(-C * y * np.abs(y), y, color="0.6", linewidth=1, label="x + C x'|x'| = 0")
axes[0].set(xlabel="x", ylabel="x'", title="Fuller's optimal feedback")
axes[0].legend()
axes[1].semilogy(limit - times, "o-", color="#0072B2", markersize=4, label="C (optimal)")

# %%
# A weaker feedback, c = 0.1, accumulates more slowly. The geometric decay is recognised long before the limit is reached,
# and on request the run goes on from the limit itself, where the state rests.

ratio, limit = known(0.1)
path = solve(feedback(0.1), (0, 40), [1.0, 0.0], rtol=1e-10, atol=1e-14, chattering="accumulate")
times = np.array([switch.t for switch in path.switches])
rest = path.segments[-1].t0
print(
    f"c = 0.1: ratio {ratio:.6f}, {times.size} switches, rest from t = {rest:.12f}, closed form {limit:.12f}"
)
print(f"error of that time {abs(rest - limit):.1e}; state at the end {path.y[:, -1]}")
before = times[times < limit - 1e-9]
axes[1].semilogy(limit - before, "s-", color="#E69F00", markersize=3, label="c = 0.1")
axes[1].set(xlabel="switch", ylabel="time left to the accumulation")
axes[1].legend()
show_if_asked()
