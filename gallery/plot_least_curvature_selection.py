"""
Curvature selects the velocity
==============================

Where two components of the gradient vanish F(x) is a square, and every element of it decreases f at the same rate. A
solution takes the element of least curvature v'Hv. The picture shows v'Hv over the square and the element taken; its
sliding conditions, (Hv)_i = 0 where v_i is strictly between the bounds, hold.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from flows import Quadratic, SignFlow

H = np.array([[2.0, 0.9, 0.3], [0.9, 1.5, -0.6], [0.3, -0.6, 1.2]])
flow = SignFlow(Quadratic(H))
# A point with gradient (1, 0, 0): coordinate 1 moves at speed one, 2 and 3 are free.
x = np.linalg.solve(H, [1.0, 0.0, 0.0])
velocity = flow.classify(x).velocity

grid = np.linspace(-1.0, 1.0, 201)
V2, V3 = np.meshgrid(grid, grid)
V = np.stack([-np.ones_like(V2), V2, V3])
curvature = np.einsum("iab,ij,jab->ab", V, H, V)
figure, axis = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
filled = axis.contourf(V2, V3, curvature, 20, cmap="cividis")
figure.colorbar(filled, label="curvature $v^T H v$")
axis.plot(
    *velocity[1:], "*", color="#D55E00", markeredgecolor="white", markersize=18, label="taken by the solution"
)
axis.set(xlabel="$v_2$", ylabel="$v_3$", title="F(x) at a point with $g_2 = g_3 = 0$", aspect="equal")
axis.legend()

# %%
# The least value on the grid is not below the value taken, and the free components of Hv vanish.

print(f"velocity {velocity}")
print(f"v'Hv = {velocity @ H @ velocity:.12g}, least on the grid {curvature.min():.12g}")
print(f"(Hv)_2, (Hv)_3 = {(H @ velocity)[1:]}")

# %%
# And descent does not select: df/dt = <g, v> is the same for every corner of the square.

g = H @ x
for v2, v3 in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
    print(f"v = (-1, {v2:+d}, {v3:+d}): df/dt = {g @ np.array([-1.0, v2, v3]):.12g}")
show_if_asked()
