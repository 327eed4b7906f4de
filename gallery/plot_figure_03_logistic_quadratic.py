"""
Figure 3: the logistic-quadratic objective
==========================================

SignGD and inertial SignGD (the paper's ASGD, momentum 0.9) on sum_i log(1 + exp(a_i'x)) + x'Qx/2, with the adaptive
step ||g||_1 / sum L_i and with constant steps. Inertia saves most of the iterations; a constant step stalls at its own
size.
"""

from discretizers.experiments import logistic_quadratic, run_methods, run_tuned
from discretizers.experiments.drawing import convergence_figure, print_runs, show_if_asked

problem = logistic_quadratic(seed=0)
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
# Every inequality of sections 5 and 6 that speaks of the adaptive run, with its worst margin:

from discretizers import check_theory

print(check_theory(runs["SignGD (adaptive)"], problem.objective, minimizer=problem.minimizer))
show_if_asked()
