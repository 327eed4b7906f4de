"""
Figure 5: ridge logistic regression
===================================

The same methods on 1/N sum_i log(1 + exp(-y_i a_i'x)) + mu/2 ||x||^2 with Gaussian features, standardised. SignGD
is fast at first and slow in its tail; inertia with adaptive steps keeps its speed down to rounding.
"""

from discretizers.experiments import ridge_logistic, run_methods, run_tuned
from discretizers.experiments.drawing import convergence_figure, print_runs, show_if_asked

problem = ridge_logistic(seed=0)
runs = {f"{name} (adaptive)": iterates for name, iterates in run_methods(problem).items()}
for name in ("SignGD", "ASGD, restart"):
    iterates, tuned = run_tuned(problem, name)
    runs[f"{name} (constant {tuned.step:.2g})"] = iterates
convergence_figure(runs, problem.name)

# %%
# The constant steps were tuned on a validation objective, drawn or split off independently, with the same budget for
# every trial. L_i are the row sums of a bound of the Hessian, which make the coordinate-wise bound (5.2) true.

print(f"{problem.name}: mu = {problem.objective.strong_convexity:.3g}, ", end="")
print(f"sum of L_i = {problem.objective.coordinate_smoothness.sum():.4g}")
print_runs("after the budget", runs)

# %%
# What the objective is for: the share of validation samples that the last iterates classify correctly.

import numpy as np

validation = problem.validation
for name, iterates in runs.items():
    correct = np.mean(validation.y * (validation.A @ iterates.y[:, -1]) > 0)
    print(f"{name}: {correct:.1%} of {validation.y.size} validation samples")
show_if_asked()
