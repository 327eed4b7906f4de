"""
Relay feedback of order two and three
=====================================

A double integrator under -Sgn(x + x') slides to rest along the switching line; a triple lag under -Sgn(y) is drawn to
a limit cycle whose period Tsypkin's condition gives in closed form.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import expm
from scipy.optimize import brentq

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseAffine, solve

second = PiecewiseAffine([[0, 1], [0, 0]], [[0], [1]], [[1, 1]])
lags = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]])
third = PiecewiseAffine(lags, [[0], [0], [1]], [[1, 0, 0]])

slide = solve(second, (0, 8), [3.0, 0.0])
cycle = solve(third, (0, 80), [0.2, 0.1, 0.3])

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
line = np.array([-0.7, 1.6])
axes[0].plot(line, -line, color="0.6", linewidth=1, label="x + x' = 0")
axes[0].plot(*slide.sol(np.linspace(0, 8, 600)), color="#0072B2", linewidth=2)
axes[0].set(xlabel="x", ylabel="x'", title="order 2: slides to rest")
axes[0].legend()
axes[1].plot(*cycle.sol(np.linspace(0, 40, 2000))[:2], color="#E69F00", linewidth=1.2)
axes[1].axvline(0.0, color="0.6", linewidth=1)
axes[1].set(xlabel="$y$", ylabel="$y + y'$", title="order 3: limit cycle")

# %%
# Order 2. From (3, 0) a parabola crosses the line where |x'| > 1; the parabola back meets it where |x'| < 1, and from
# there x falls as exp(-t).

for switch in slide.switches:
    print(f"order 2: {switch.kind:14} at t = {switch.t:.12f}, x = {switch.x}")
print(f"first switch, closed form {np.sqrt(7) - 1:.12f}")

# %%
# Order 3. On the cycle x(T) = -x(0) and y(0) = 0: one equation for half the period T.


def output(T):
    E = expm(lags * T)
    offset = np.linalg.solve(lags, [0.0, 0.0, -1.0])
    return np.linalg.solve(np.eye(3) + E, (np.eye(3) - E) @ offset)[0]


half = brentq(output, 1.0, 4.0, xtol=1e-14)
times = [switch.t for switch in cycle.switches]
print(f"half period, Tsypkin {half:.12f}, computed {times[-1] - times[-2]:.12f}")
print(
    f"(the frequency is 2 pi / 2T = {np.pi / half:.6f}; the describing function says sqrt(3) = {np.sqrt(3):.6f})"
)
show_if_asked()
