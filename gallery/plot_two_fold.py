"""
The two-fold: where uniqueness is lost
======================================

Both fields are tangent to the surface at one point. What happens there depends on second derivatives: visible folds
turn an attracting surface into a repelling one, and a solution that slides in may leave at any later time.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import NonUniqueError, PiecewiseSmooth, branches, solve


def two_fold(above, below):
    """Return x1' = 1, x2' = above x1 for x2 > 0 and below x1 for x2 < 0."""
    return PiecewiseSmooth(
        lambda t, x: x[1:],
        {1: lambda t, x: np.array([1.0, above * x[0]]), -1: lambda t, x: np.array([1.0, below * x[0]])},
        jac=lambda t, x: np.array([[0.0, 1.0]]),
    )


visible = two_fold(1.0, -1.0)
try:
    solve(visible, (0, 3), [-1.0, 0.0])
except NonUniqueError as error:
    print(f"refused at t = {error.trajectory.t_end:.9f}: {error}")

figure, axis = plt.subplots(figsize=(7.0, 4.4), layout="constrained")
for path in branches(visible, (0, 3), [-1.0, 0.0]):
    t = np.linspace(0, 3, 300)
    axis.plot(*path.sol(t), linewidth=2)
    print(f"a solution with end {path.y[:, -1].round(9)}: {[(s.kind, round(s.t, 6)) for s in path.switches]}")
axis.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
axis.set(xlabel="x1", ylabel="x2", title="visible-visible: three ways to go on at the fold")

# %%
# The ends are known: the outer two are parabolas x2 = +-(t - 1)^2/2, that is +-2 at t = 3, the middle one stays.
#
# The velocity set at the fold is the single vector (1, 0) in every case below; only what lies ahead tells them apart.

for name, above, below in (
    ("visible-visible", 1.0, -1.0),
    ("invisible-invisible", -1.0, 1.0),
    ("visible-invisible", 1.0, 2.0),
):
    point = two_fold(above, below).classify([0.0, 0.0])
    print(f"{name:20} {point.kind:10} {len(point.velocities)} solution(s), velocity {point.velocity}")
show_if_asked()
