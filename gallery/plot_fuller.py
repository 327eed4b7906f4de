"""
Fuller's problem: infinitely many switches in finite time
=========================================================

The time-optimal-looking feedback of Fuller's problem, x'' = -Sgn(x + C x'|x'|), switches at times that shrink by a
constant ratio and add up. No loop over switches ends there; the accumulation has to be recognised.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import ChatteringError, PiecewiseSmooth, solve

C = np.sqrt((np.sqrt(33.0) - 1.0) / 24.0)
fuller = PiecewiseSmooth(
    lambda t, x: [x[0] + C * x[1] * abs(x[1])],
    {1: lambda t, x: np.array([x[1], -1.0]), -1: lambda t, x: np.array([x[1], 1.0])},
    jac=lambda t, x: np.array([[1.0, 2.0 * C * abs(x[1])]]),
)

# %%
# Between switches x + x'^2/2 (or x - x'^2/2) is constant, so speeds at switches fall by r = sqrt((1 - 2C)/(1 + 2C)) each
# time, and the times from (1, 0) add up to v (1 + (1 + r)/(1 - r)) with v = 1/sqrt(1/2 + C).

r = np.sqrt((1 - 2 * C) / (1 + 2 * C))
v = 1 / np.sqrt(0.5 + C)
limit = v * (1 + (1 + r) / (1 - r))
print(f"ratio {r:.9f}, accumulation at t = {limit:.12f}")
try:
    solve(fuller, (0, 4), [1.0, 0.0], rtol=1e-10, atol=1e-14)
except ChatteringError as error:
    print(f"refused: {error}")
    partial = error.trajectory

times = np.array([switch.t for switch in partial.switches])
gaps = np.diff(times)
print(f"{times.size} switches; ratios of their intervals: {(gaps[1:6] / gaps[:5]).round(6)}")
print(f"the last computed switch is {limit - times[-1]:.1e} before the accumulation")

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
axes[0].plot(*partial.sol(np.linspace(0, partial.t_end, 2000)), color="#0072B2", linewidth=2)
y = np.linspace(-1.1, 0.4, 200)
axes[0].plot(-C * y * np.abs(y), y, color="0.6", linewidth=1, label="x + C x'|x'| = 0")
axes[0].set(xlabel="x", ylabel="x'")
axes[0].legend()
axes[1].semilogy(np.maximum(limit - times, 1e-16), "o-", color="#D55E00", markersize=4)
axes[1].set(xlabel="switch", ylabel="time left to the accumulation")

# %%
# On request the run goes on from the limit. There the state rests.

path = solve(fuller, (0, 4), [1.0, 0.0], rtol=1e-10, atol=1e-14, chattering="accumulate")
print(
    f"rest from t = {path.segments[-1].t0:.12f}, error {abs(path.segments[-1].t0 - limit):.1e}; end {path.y[:, -1]}"
)
show_if_asked()
