"""
Dry friction: stick and slip
============================

A block on a belt of speed 1, held by a spring, with friction that weakens with the relative speed. It sticks, is torn
off when the spring force reaches the friction, slips, and sticks again: a cycle that is reached in finite time.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import brentq

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseSmooth, solve

FRICTION, WEAKENING = 1.2, 0.3

block = PiecewiseSmooth(
    lambda t, x: [x[1] - 1.0],
    {
        1: lambda t, x: np.array([x[1], -x[0] - FRICTION + WEAKENING * (x[1] - 1.0)]),
        -1: lambda t, x: np.array([x[1], -x[0] + FRICTION - WEAKENING * (1.0 - x[1])]),
    },
    jac=lambda t, x: np.array([[0.0, 1.0]]),
)
path = solve(block, (0, 25), [1.0, 0.2], rtol=1e-11, atol=1e-13)

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
for segment in path.segments:
    x = segment.state(np.linspace(segment.t0, segment.t1, 200))
    axes[0].plot(
        *x, color="#D55E00" if segment.sliding else "#0072B2", linewidth=2 if segment.sliding else 1.4
    )
axes[0].axhline(1.0, color="0.7", linewidth=0.8, zorder=0)
axes[0].set(xlabel="position", ylabel="velocity", title="blue: slip, orange: stick")
path.plot(ax=axes[1])

# %%
# The slip is linear, so the period is known: the stick ends at x = F, the slip from there is a growing spiral, and the
# stick after it lasts as long as the belt needs to carry the block back to x = F.

centre, growth = FRICTION - WEAKENING, 0.5 * WEAKENING
omega = np.sqrt(1.0 - growth**2)


def velocity(t, x0=FRICTION - centre, v0=1.0):
    phase = omega * t
    return np.exp(growth * t) * (v0 * np.cos(phase) + (growth * v0 - x0) / omega * np.sin(phase))


def position(t, x0=FRICTION - centre, v0=1.0):
    phase = omega * t
    return centre + np.exp(growth * t) * (x0 * np.cos(phase) + (v0 - growth * x0) / omega * np.sin(phase))


slip = brentq(lambda t: velocity(t) - 1.0, 3.5, 6.5, xtol=1e-14)
period = slip + FRICTION - position(slip)
releases = [s.t for s in path.switches if s.kind == "sliding-exit"]
print(f"period, closed form {period:.12f}, computed {releases[-1] - releases[-2]:.12f}")

# %%
# Every change is reported once, with its kind and time:

for switch in path.switches:
    print(f"{switch.kind:14} at t = {switch.t:.10f}, x = {switch.x}")
print(path.certify())
show_if_asked()
