"""
Harvesting above a threshold
============================

Lotka and Volterra's predators y are harvested at rate q y only while y > T. The orbit meets the line y = T, slides
along it while harvesting now and then is enough to hold y there, and leaves where prey are too many: at x = 1 + q.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseSmooth, solve

q, T = 0.5, 0.8
model = PiecewiseSmooth(
    lambda t, x: [x[1] - T],
    {
        1: lambda t, x: np.array([x[0] * (1.0 - x[1]), x[1] * (x[0] - 1.0 - q)]),
        -1: lambda t, x: np.array([x[0] * (1.0 - x[1]), x[1] * (x[0] - 1.0)]),
    },
    jac=lambda t, x: np.array([[0.0, 1.0]]),
)
path = solve(model, (0, 30), [0.9, 0.75], rtol=1e-11, atol=1e-13)

figure, axis = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
for segment in path.segments:
    x = segment.state(np.linspace(segment.t0, segment.t1, 300))
    axis.plot(*x, color="#D55E00" if segment.sliding else "#0072B2", linewidth=2)
axis.axhline(T, color="0.7", linewidth=0.8, zorder=0)
axis.plot(1, 1, "o", color="0.4")
axis.set(xlabel="prey x", ylabel="predators y", title="orange: sliding on the threshold")

# %%
# On y = T the prey grow as exp((1 - T) t), whatever the harvest does; the exit is where the harvested field turns
# upwards. Entry and exit therefore satisfy a closed relation.

entry, leaving = path.switches[:2]
print(f"entry at t = {entry.t:.12f}, x = {entry.x[0]:.12f}")
print(f"exit  at t = {leaving.t:.12f}, x = {leaving.x[0]:.12f} (closed form {1 + q})")
print(
    f"time on the threshold {leaving.t - entry.t:.12f}, closed form {np.log((1 + q) / entry.x[0]) / (1 - T):.12f}"
)

# %%
# Where the state slides, the share of the time spent harvesting is the convex weight of the upper field.

for x in (1.0, 1.25, 1.45):
    point = model.classify([x, T])
    print(f"x = {x:.2f}: {point.kind}, velocity {point.velocity}, share of harvesting {(x - 1) / q:.2f}")
show_if_asked()
