"""
Figure 6: the active face
=========================

How many components of the gradient still count (|g_i| > 10^-k), and how much curvature L_S they carry, along adaptive
SignGD and ASGD with restart. Both fall to zero earlier for ASGD. How long they stay at the maximum is a matter of k.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments import logistic_quadratic, run_methods
from discretizers.experiments.drawing import print_table, show_if_asked

problem = logistic_quadratic(seed=0)
names = ("SignGD", "ASGD, restart")
figure, axes = plt.subplots(2, 2, figsize=(10.0, 6.0), layout="constrained", sharex=True)
rows = []
for column, tol in enumerate((1e-2, 1e-4)):
    runs = run_methods(problem, names, n_steps=1500, active_tol=tol)
    for (name, iterates), colour in zip(runs.items(), ("#0072B2", "#E69F00"), strict=True):
        axes[0, column].plot(iterates.active, color=colour, label=name)
        axes[1, column].plot(iterates.active_smoothness, color=colour)
        reached = [np.flatnonzero(iterates.active <= share * problem.dim) for share in (0.9, 0.5, 0.1)]
        rows.append((f"{tol:g}", name, *(str(k[0]) if k.size else "-" for k in reached)))
    axes[0, column].set(title=f"active: $|g_i| > {tol:g}$", ylabel="$|S|$")
    axes[1, column].set(xlabel="iteration $k$", ylabel="$L_S$")
axes[0, 0].legend()

# %%
# First iterations at which |S| is at most 90 %, 50 % and 10 % of n.

print_table(problem.name, ("tolerance", "method", "90 %", "50 %", "10 %"), rows)

# %%
# The face-aware step of section 5 divides by L_S with S = { i : g_i not 0 }. In floating point a component of the
# gradient is hardly ever zero, so the step is the adaptive step and nothing is gained.

exact = run_methods(problem, ("SignGD",), n_steps=1500)["SignGD"]
print(f"steps with some g_i = 0: {np.count_nonzero(exact.active < problem.dim)} of {exact.active.size}")
show_if_asked()
