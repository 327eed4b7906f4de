"""
Figure 4: the smooth maximum
============================

The same methods on tau log sum_i exp((a_i'x - b_i)/tau) + x'Qx/2, ill-conditioned. Without a restart the inertial
method may climb for a few steps, and is still far ahead of SignGD.
"""

from discretizers.experiments import run_methods, run_tuned, smooth_max
from discretizers.experiments.drawing import convergence_figure, print_runs, show_if_asked

problem = smooth_max(seed=0, condition=1000.0)
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
# Overshoots without the restart, over ten seeds and two conditions of Q: the largest increase of f in one step,
# relative to the first gap.

from discretizers.experiments import largest_increase

for condition in (10.0, 1000.0):
    found = []
    for seed in range(10):
        free = run_methods(smooth_max(seed, condition=condition), ("ASGD, no restart",))
        found.append(largest_increase(free["ASGD, no restart"]))
    count = sum(increase > 1e-12 for increase in found)
    print(f"kappa = {condition:g}: {count} of 10 seeds overshoot, by at most {max(found):.2g} of the gap")
show_if_asked()
