"""
Three surfaces in space
=======================

A sign flow in three dimensions meets one surface, slides on it to a second, and on the line in which the two meet to
the minimiser: the codimension grows from 0 to 3. The planes are where a component of the gradient vanishes.
"""

import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from filippov.drawing.plotting_3d import plot_trajectory_3d
from flows import Quadratic, SignFlow

H = np.array([[2.0, 0.9, 0.3], [0.9, 1.5, -0.6], [0.3, -0.6, 1.2]])
flow = SignFlow(Quadratic(H))
path = solve(flow, (0, 3), [1.0, -0.6, 0.3])
axes = plot_trajectory_3d(path)
axes.view_init(elev=22, azim=-58)

# %%
# The codimension after each switch.

for switch in path.switches:
    print(f"t = {switch.t:.12g}: {switch.kind}, codimension {switch.codimension}, surfaces {switch.surfaces}")
print(path.certify())
show_if_asked()
