"""
Boundary-equilibrium bifurcations
=================================

As mu passes zero an equilibrium of the right field collides with the switching line x = 0. Depending on the field on the
left it turns into a pseudo-equilibrium (persistence), or meets one and both vanish (nonsmooth fold).
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseSmooth, solve


def system(mu, lift):
    """Return a focus at (mu, 0) for x > 0, and the constant field (1, lift) for x < 0."""
    return PiecewiseSmooth(
        lambda t, x: x[:1],
        {
            1: lambda t, x: np.array([mu - x[0] - x[1], x[0] - mu - x[1]]),
            -1: lambda t, x: np.array([1.0, lift]),
        },
        jac=lambda t, x: np.array([[1.0, 0.0]]),
    )


# %%
# On x = 0 the state slides where y > mu, and y' has the sign of -mu - y + lift (y - mu): a pseudo-equilibrium at
# y = -mu (1 + lift)/(1 - lift), which slides if that is above mu.


def pseudo(mu, lift):
    return -mu * (1 + lift) / (1 - lift)


figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
worst = 0.0
for mu in np.linspace(-1.0, 1.0, 17):
    path = solve(system(mu, 0.5), (0, 400), [0.5, 1.0], rtol=1e-10, atol=1e-12)
    expected = [mu, 0.0] if mu >= 0 else [0.0, pseudo(mu, 0.5)]
    worst = max(worst, float(np.linalg.norm(path.y[:, -1] - expected)) if mu != 0 else 0.0)
    axes[0].plot(mu, path.y[0, -1], "o", color="#0072B2")
    axes[0].plot(mu, path.y[1, -1], "s", color="#E69F00", markersize=4)
print(f"persistence, lift 1/2: largest distance of x(400) from the known equilibrium {worst:.1e}")
axes[0].set(xlabel="mu", ylabel="attractor: x (blue), y (orange)", title="persistence")

# %%
# With lift = 2 the pseudo-equilibrium exists for mu > 0, beside the focus, and is unstable: starts on either side of it
# on the line part. For mu < 0 nothing is left and everything runs away upwards.

for mu in (0.25, 0.5, 1.0):
    saddle = pseudo(mu, 2.0)
    kind = system(mu, 2.0).classify([0.0, saddle]).kind
    ends = [solve(system(mu, 2.0), (0, 40), [0.0, saddle + d]).y[1, -1] for d in (-0.02, 0.02)]
    print(
        f"mu = {mu:g}: {kind} at y = {saddle:g}; from 0.02 below it ends at y = {ends[0]:.4f}, above at {ends[1]:.4g}"
    )
for mu, colour in ((0.5, "#0072B2"), (-0.5, "#D55E00")):
    for y in (-0.5, 0.5, 1.4, 1.6):
        path = solve(system(mu, 2.0), (0, 5), [0.0 if y > 1 else 0.5, y])
        axes[1].plot(*path.sol(np.linspace(0, 5, 400)), color=colour, linewidth=1.2)
axes[1].set(xlabel="x", ylabel="y", ylim=(-1, 4), title="nonsmooth fold: mu = 1/2 (blue), -1/2 (orange)")
show_if_asked()
