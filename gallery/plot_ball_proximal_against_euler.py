"""
Implicit steps do not chatter
=============================

Explicit Euler (SignGD) jumps back and forth over the line on which the exact solution slides, with an amplitude of the
order of its step. Implicit Euler is the ball-proximal step argmin { f(z) : ||z - x|| <= h }: it lands on the line.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers import BallProximal, SignGD, compare, run
from discretizers.experiments.drawing import print_table, show_if_asked
from filippov import solve
from flows import Quadratic, SignFlow

f = Quadratic([[1.0, 0.4], [0.4, 1.0]])
x0 = np.array([1.0, 0.13])
path = solve(SignFlow(f), (0, 3), x0)
end = path.arrival_time

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.4), layout="constrained", sharey=True)
rows = []
for axis, steps in zip(axes, (12, 48), strict=True):
    h = end / steps
    axis.plot(*path.y, color="black", linewidth=3, alpha=0.35, label="exact")
    for scheme, name, colour in (
        (SignGD(h), "SignGD", "#E69F00"),
        (BallProximal(h), "ball-proximal", "#0072B2"),
    ):
        iterates = run(scheme, f, x0, steps)
        axis.plot(*iterates.y, ".-", color=colour, linewidth=1, label=name)
        error = np.max(np.abs(iterates.y - path.sol(np.minimum(iterates.t, path.t_end))))
        chatter = max(compare(path, iterates).chatter.values(), default=0.0)
        rows.append((f"{h:.4g}", name, f"{error:.3g}", f"{chatter:.3g}"))
    axis.set(title=f"h = {h:.3g}", xlabel="$x_1$", ylabel="$x_2$")
axes[0].legend()

# %%
# The error of the explicit scheme shrinks with h; that of the implicit one comes only from the steps that contain a switch.

print_table("largest error at the grid times", ("h", "scheme", "error", "chatter"), rows)
show_if_asked()
