"""
Table 2: objectives and their constants
=======================================

The three benchmark objectives with their strong convexity mu and coordinate-wise constants L_i. The picture shows the
least eigenvalue of diag(L) - Hess f along random rays: where it is negative, the bound (5.2) that the convergence
theory stands on fails. The diagonal bounds max H_ii fail; row sums do not.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments import logistic_quadratic, ridge_logistic, smooth_max
from discretizers.experiments.drawing import print_table, show_if_asked

problems = [logistic_quadratic(0), smooth_max(0), ridge_logistic(0)]
formulas = (
    ("sum_i log(1 + exp(a_i'x)) + x'Qx/2", "lambda_min(Q)", "row sums of |A'A/4 + Q|"),
    (
        "tau log sum_i exp((a_i'x - b_i)/tau) + x'Qx/2",
        "lambda_min(Q)",
        "row sums of |C'C/(2 tau) + Q|, or by ranges",
    ),
    ("1/N sum_i log(1 + exp(-y_i a_i'x)) + mu/2 ||x||^2", "mu", "row sums of |A'A/(4N) + mu I|"),
)
rng = np.random.default_rng(0)
radii = np.geomspace(1e-2, 1e2, 25)
figure, axes = plt.subplots(1, 3, figsize=(11.0, 3.8), layout="constrained")
rows = []
for axis, problem, (formula, mu_formula, L_formula) in zip(axes, problems, formulas, strict=True):
    objective = problem.objective
    rays = rng.standard_normal((5, problem.dim))
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    points = [radius * ray for ray in rays for radius in radii]
    hessians = [objective.hess(x) for x in points]
    diagonal = np.max([np.diag(H) for H in hessians], axis=0)
    worst = {}
    for name, L, colour in (
        ("row sums", objective.coordinate_smoothness, "#0072B2"),
        ("max H_ii", diagonal, "#D55E00"),
    ):
        least = np.array([np.linalg.eigvalsh(np.diag(L) - H)[0] for H in hessians]).reshape(len(rays), -1)
        axis.plot(radii, least.min(axis=0), color=colour, label=f"L = {name}")
        worst[name] = least.min()
    axis.axhline(0.0, color="0.5", linewidth=0.8)
    axis.set_xscale("log")
    axis.set(title=problem.name.split(",")[0], xlabel="distance from 0")
    convexity = min(np.linalg.eigvalsh(H)[0] for H in hessians)
    rows.append(
        (
            formula,
            f"{mu_formula} = {objective.strong_convexity:.4g}",
            f"{convexity:.4g}",
            f"{L_formula}: {objective.coordinate_smoothness.sum():.4g}",
            f"{worst['row sums']:.3g}",
            f"{worst['max H_ii']:.3g}",
        )
    )
axes[0].set_ylabel("least eigenvalue of diag(L) - H")
axes[0].legend()

# %%
# At every sampled point the Hessian is at least mu I, and diag(L) - H is positive semidefinite for the row sums. With
# the bounds of the diagonal alone, which is what "partial derivative i is L_i-Lipschitz along e_i" says, it is not.

header = (
    "objective",
    "mu",
    "least eigenvalue of H",
    "sum of L_i",
    "diag(L) - H, row sums",
    "diag(L) - H, max H_ii",
)
print_table("Table 2, with the least eigenvalues found", header, rows)

# %%
# Inequality (5.2) itself, f(x + d) <= f(x) + <g, d> + sum L_i d_i^2 / 2, at random x and d: the least margin.

for problem in problems:
    objective, L = problem.objective, problem.objective.coordinate_smoothness
    margins = []
    for x, d in rng.standard_normal((500, 2, problem.dim)):
        model = objective.value(x) + objective.grad(x) @ d + L @ d**2 / 2
        margins.append(model - objective.value(x + d))
    print(f"{problem.name}: least margin of (5.2) over {len(margins)} pairs: {min(margins):.3g}")
show_if_asked()
