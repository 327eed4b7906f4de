"""
Figure 2: Filippov's convexification for the l1 flow
====================================================

On a tie |g_1| = |g_2| the greedy selector -sign(g_i*) e_i* has two limits, and Filippov's set is the segment between
them. Every element decreases f equally fast (Lemma 4.4); curvature picks the one that a solution takes (red).
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from flows import GreedyFlow, Quadratic

Q = np.array([[2.0, 0.5], [0.5, 1.0]])
flow = GreedyFlow(Quadratic(Q))
tie = np.linalg.solve(Q, [1.0, 1.0])
velocity = flow.classify(tie).velocity

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.6), layout="constrained")
diamond = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]])
left.plot(*diamond.T, color="0.7", linestyle=":", label="unit ball of l1")
flow.filippov_set(tie).plot(left, velocity)
left.set(title="Filippov set on the tie and the chosen velocity", xlabel="$v_1$", ylabel="$v_2$")
left.legend()

# %%
# The right panel shows the flow itself: it moves along one axis until the two components of the gradient tie, and then
# along the tie to the minimiser. The blend is the minimiser of v'Hv over the set, and it keeps the tie: the two
# components of -H v stay equal.

path = solve(flow, (0, 5), [1.5, 1.0])
grid = np.linspace(-0.4, 1.7, 120)
X, Y = np.meshgrid(grid, grid)
right.contour(X, Y, (Q[0, 0] * X**2 + 2 * Q[0, 1] * X * Y + Q[1, 1] * Y**2) / 2, 12, colors="0.85")
right.plot(*path.y, color="#0072B2", linewidth=2, label="exact trajectory")
for switch in path.switches:
    right.plot(*switch.x, "s", color="#D55E00")
    right.annotate(switch.kind, switch.x, xytext=(6, -12), textcoords="offset points")
right.set(title="The flow slides along the tie", xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
right.legend()
print(f"face vertices: {flow.face(tie).vertices().tolist()}, chosen velocity {velocity}")
print(f"rates of the gradient along it: {Q @ velocity}")
for weight in (0.0, 0.5, 1.0):
    v = -np.array([weight, 1 - weight])
    print(f"weights ({weight:g}, {1 - weight:g}): df/dt = {Q @ tie @ v:g}, v'Hv = {v @ Q @ v:g}")

# %%
# The set is contained in the face of the diamond and can be smaller. For f = (x1 + 2 x2)^2 / 2 at g = 0 the second
# component is always the larger one, so the Filippov set is a segment where the face is the whole diamond
# (the remark after Proposition 4.1).

singular = GreedyFlow(Quadratic([[1.0, 2.0], [2.0, 4.0]]))
print(f"face: {singular.face([0, 0]).vertices().tolist()}")
print(f"Filippov set: {singular.filippov_set([0, 0]).vertices().tolist()}")
show_if_asked()
