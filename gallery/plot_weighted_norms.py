"""
Weights change the way, not the goal
====================================

With |v_i| <= w_i instead of 1 every coordinate has its own speed. For a separable f the arrival is at max |x_i| / w_i,
exactly. The three trajectories end in the same minimiser, along different ways.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from flows import L1, LInf, NormFlow, Quadratic, Weighted

f = Quadratic([[1.0, 0.6], [0.6, 2.0]])
x0 = [1.0, 0.9]
figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.6), layout="constrained", sharex=True, sharey=True)
grid = np.linspace(-0.6, 1.3, 120)
X, Y = np.meshgrid(grid, grid)
for axis, (norm, name) in zip(axes, ((LInf(), "l_inf"), (L1(), "l1")), strict=True):
    axis.contour(X, Y, (X**2 + 1.2 * X * Y + 2 * Y**2) / 2, 12, colors="0.88")
    for w, colour in (((1.0, 1.0), "#0072B2"), ((2.0, 1.0), "#E69F00"), ((1.0, 2.0), "#CC79A7")):
        path = solve(NormFlow(f, Weighted(norm, w)), (0, 20), x0)
        axis.plot(*path.y, color=colour, linewidth=2, label=f"w = {w}, arrival {path.arrival_time:.3f}")
        print(f"{name}, w = {w}: {[s.kind for s in path.switches]}, first velocity {path.velocity(0.0)}")
    axis.set(title=name, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    axis.legend(fontsize="small", loc="lower right")

# %%
# The closed form of the separable case.

for w in ((1.0, 1.0), (2.0, 0.5)):
    norm = Weighted(LInf(), w)
    path = solve(NormFlow(Quadratic(np.eye(2)), norm), (0, 20), x0)
    speeds = np.abs(path.velocity(0.0))
    print(
        f"w = {w}: speeds {speeds}, arrival {path.arrival_time:.15g}, expected {np.max(np.abs(x0) / speeds):.15g}"
    )
show_if_asked()
