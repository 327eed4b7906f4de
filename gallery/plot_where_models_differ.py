"""
Where models of switching differ: sign(y)^2
===========================================

A right-hand side that is affine in its signs has one meaning on a surface. One that is not, say with sign(y)^2, has
several: Filippov's convexification mixes the limits of the field; the equivalent control puts one u in [-1, 1] in the
place of every sign. Both are limits of real switches, of different ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseSmooth, Relay, solve

# %%
# x' = sign(y)^2, y' = 1/2 - sign(y). Off y = 0 the square is 1, so both limits have x' = 1 and so has every mixture.
# The equivalent control has u = 1/2 on y = 0, hence x' = u^2 = 1/4.

filippov_model = PiecewiseSmooth(
    lambda t, x: x[1:], {1: lambda t, x: np.array([1.0, -0.5]), -1: lambda t, x: np.array([1.0, 1.5])}
)
# As a relay, with the square kept as what it is off the surface: affine in u, so it agrees with the first.
relay_model = Relay(
    lambda t, x: np.array([1.0, 0.5]), lambda t, x: np.array([[0.0], [1.0]]), lambda t, x: x[1:]
)
for name, system in (("PiecewiseSmooth", filippov_model), ("Relay, sign^2 = 1", relay_model)):
    print(f"{name:18} velocity on y = 0: {system.classify([0.0, 0.0]).velocity}")

# %%
# Two devices that realise the sign: a steep smooth characteristic, and a switch with hysteresis.

steep = solve_ivp(
    lambda t, x: [np.tanh(x[1] / 1e-3) ** 2, 0.5 - np.tanh(x[1] / 1e-3)],
    (0, 3),
    [0.0, 0.5],
    method="LSODA",
    rtol=1e-8,
    atol=1e-10,
    dense_output=True,
)


def hysteresis(width, t_end):
    """Return times and x of the exact motion with a switch that turns over at +-width."""
    t, x, y, sign = 0.0, 0.0, 0.5, 1.0
    times, states = [t], [x]
    while t < t_end:
        span = (y + width) / 0.5 if sign > 0 else (width - y) / 1.5
        t, x, y = t + span, x + span, -width if sign > 0 else width
        sign = -sign
        times.append(t)
        states.append(x)
    return times, states


path = solve(filippov_model, (0, 3), [0.0, 0.5])
t = np.linspace(0, 3, 300)
figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
axes[0].plot(t, path.sol(t)[0], color="#0072B2", linewidth=3, label="PiecewiseSmooth (Filippov)")
axes[0].plot(*hysteresis(0.01, 3), "--", color="#E69F00", label="switch with hysteresis")
axes[0].plot(t, steep.sol(t)[0], color="#D55E00", label="tanh(y/0.001)")
axes[0].set(xlabel="t", ylabel="x", title="x' = sign(y)^2")
axes[0].legend()
slope = (steep.sol(3.0)[0] - steep.sol(2.0)[0]) / 1.0
print(f"x' on y = 0: Filippov {path.velocity(2.5)[0]:.6f}, smooth characteristic {slope:.6f} (u^2 = 0.25)")

# %%
# Products of different signs are where it matters on two surfaces: x3' = sign(x1) sign(x2), x1' = 0.6 - sign(x1),
# x2' = 0.4 - sign(x2). The default "multilinear" is u1 u2 = 0.24, which smoothing each sign by itself gives too; other
# members of the family come with other selections.

fields = {
    (i, j): (lambda t, x, i=i, j=j: np.array([0.6 - i, 0.4 - j, i * j])) for i in (1, -1) for j in (1, -1)
}
names = ("multilinear", "moments", "hull-least-norm")
values = []
for selection in names:
    system = PiecewiseSmooth(lambda t, x: x[:2], fields, selection=selection)
    values.append(system.classify(np.zeros(3)).velocity[2])
    print(f"{selection:16} x3' on both surfaces: {values[-1]:.9f}")
smooth = solve_ivp(
    lambda t, x: [
        0.6 - np.tanh(x[0] / 1e-3),
        0.4 - np.tanh(x[1] / 1e-3),
        np.tanh(x[0] / 1e-3) * np.tanh(x[1] / 1e-3),
    ],
    (0, 2),
    [0.1, 0.1, 0.0],
    method="LSODA",
    rtol=1e-9,
    atol=1e-11,
    dense_output=True,
)
values.append(smooth.sol(2.0)[2] - smooth.sol(1.0)[2])
print(f"smoothing each sign: {values[-1]:.9f}")
axes[1].bar([*names, "tanh"], values, color=["#0072B2", "#56B4E9", "#009E73", "#D55E00"])
axes[1].axhline(0.0, color="0.4", linewidth=0.8)
axes[1].set(ylabel="x3' on both surfaces", title="x3' = sign(x1) sign(x2)")
axes[1].tick_params(axis="x", labelrotation=15)
show_if_asked()
