"""
Table 1: flows and their Euler steps
====================================

Each norm constraint gives a flow (Lemma 3.1), and explicit Euler on it a known method. The picture shows the velocities
as points of the three unit balls; the table checks each line against brute force.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers import CustomScheme, GreedyCD, NormalizedGD, SignGD, run
from discretizers.experiments.drawing import print_table, show_if_asked
from flows import L1, L2, GradientFlow, LInf, NormFlow, Quadratic

objective = Quadratic([[2.0, 0.3], [0.3, 1.0]])
x = np.array([1.0, 0.4])
g = objective.grad(x)
cases = {
    "l2": (L2(), NormalizedGD, "-g / ||g||_2", "normalized GD"),
    "l_inf": (LInf(), SignGD, "-sign g", "SignGD"),
    "l1": (L1(), GreedyCD, "-sign(g_i*) e_i*", "greedy CD"),
}
angles = np.linspace(0, 2 * np.pi, 721)
circle = np.array([np.cos(angles), np.sin(angles)])
figure, axes = plt.subplots(1, 3, figsize=(10.0, 4.2), layout="constrained", sharex=True, sharey=True)
for axis, (name, (norm, _, formula, _)) in zip(axes, cases.items(), strict=True):
    ball = circle / np.array([norm.value(v) for v in circle.T])
    axis.plot(*ball, color="#0072B2", label="unit ball")
    velocity = NormFlow(objective, norm).field(0.0, x)
    axis.annotate("", -g / np.linalg.norm(g), (0, 0), arrowprops={"arrowstyle": "->", "color": "0.6"})
    axis.annotate("", velocity, (0, 0), arrowprops={"arrowstyle": "->", "color": "#D55E00"})
    axis.set(title=f"{name}: v = {formula}", aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
figure.suptitle("Velocity of the flow (orange-red) for one -g (grey)")

# %%
# Checks. "Slope": <g, v> is the least over a fine sample of the unit ball, and equals -||g||_*. "Step": one step of the
# scheme minus x + h v. The first line of the table, without a constraint, is gradient descent.

h = 0.1
rows = []
descent = CustomScheme(lambda x, g: x - h * g, "gradient descent", step=h)
moved = run(descent, objective, x, 1).y[:, 1]
error = np.max(np.abs(moved - (x + h * GradientFlow(objective).field(0.0, x))))
rows.append(("none", "-g", "x - h g", "gradient descent", "-", "-", f"{error:.1e}"))
for name, (norm, scheme, formula, method) in cases.items():
    velocity = NormFlow(objective, norm).field(0.0, x)
    sample = circle / np.array([norm.value(v) for v in circle.T])
    excess = float(np.min(g @ sample) - g @ velocity)
    dual = float(g @ velocity + norm.dual.value(g))
    error = np.max(np.abs(run(scheme(h), objective, x, 1).y[:, 1] - (x + h * velocity)))
    rows.append((name, formula, "x + h v", method, f"{excess:.1e}", f"{dual:.1e}", f"{error:.1e}"))
header = (
    "constraint",
    "flow v",
    "Euler step",
    "method",
    "sampled slope - <g, v>",
    "<g, v> + ||g||_*",
    "step error",
)
print_table("Table 1", header, rows)
show_if_asked()
