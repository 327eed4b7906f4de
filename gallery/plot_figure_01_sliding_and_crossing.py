"""
Figure 1: sliding and crossing
==============================

The sign flow of f(x, y) = (y - a x)^2/2 + x (section 4.4) meets the line y = a x, on which df/dy = 0. With |a| < 1 it
stays on the line and slides; with |a| > 1 it crosses. The picture shows the exact solution of both cases.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from flows import SignFlow, Symbolic

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.4), layout="constrained")
cases = ((0.5, (0.25, -0.25), 0.8), (2.0, (-0.25, -0.5), 0.55))
for axis, (a, offsets, end) in zip(axes, cases, strict=True):
    flow = SignFlow(Symbolic(f"(y - {a}*x)**2/2 + x", ["x", "y"]))
    x = np.linspace(-0.55, 0.45, 2)
    axis.plot(x, a * x, color="0.5", label="y = a x, where df/dy = 0")
    for offset, colour in zip(offsets, ("#0072B2", "#E69F00"), strict=True):
        path = solve(flow, (0, end), [0.3, 0.3 * a + offset])
        axis.plot(*path.y, color=colour, linewidth=2)
        axis.plot(*path.y[:, 0], "o", color=colour)
        for switch in path.switches:
            axis.plot(*switch.x, "s", color="#D55E00")
            print(f"a = {a:g}, from y - a x = {offset:+g}: {switch.kind} at t = {switch.t:.12g}")
    axis.set(title=f"a = {a:g}", xlabel="x", ylabel="y")
    axis.legend()

# %%
# The switch is computed, not stepped over. With s = y - a x the flow has s' = a - sign(s), so the line is reached at
# t = |s| / |a - sign(s)|. On the line a sliding solution has the velocity (-1, -a), the element of the Filippov set
# that keeps s = 0.

flow = SignFlow(Symbolic("(y - 0.5*x)**2/2 + x", ["x", "y"]))
path = solve(flow, (0, 0.8), [0.3, 0.4])
point = path.switches[0]
print(f"expected time {0.25 / abs(0.5 - 1):.12g}, found {point.t:.12g}")
print(f"velocity on the line: {path.velocity(0.7)}")
print(flow.classify(point.x))
show_if_asked()
