"""
Figures 7 and 8: the projected variants
=======================================

Squared distance to the minimiser of SignGD, one-hit freeze and two-hit sliding on ridge logistic regression, in two
dimensions. The curves are hard to tell apart, so the lower panels show them divided by SignGD's.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments import ridge_logistic, run_methods
from discretizers.experiments.drawing import draw_curves, print_table, show_if_asked

names = ("SignGD", "one-hit freeze", "two-hit sliding")
figure, axes = plt.subplots(2, 2, figsize=(10.0, 6.4), layout="constrained", sharex=True)
rows = []
for column, n in enumerate((20, 100)):
    problem = ridge_logistic(seed=0, n=n)
    runs = run_methods(problem, names)
    distances = {name: iterates.squared_distance for name, iterates in runs.items()}
    draw_curves(axes[0, column], distances, r"$\|x_k - x^*\|_2^2$")
    axes[0, column].set(title=problem.name, xlabel="")
    for name, colour in (("one-hit freeze", "#E69F00"), ("two-hit sliding", "#CC79A7")):
        ratio = distances[name] / distances["SignGD"]
        axes[1, column].plot(ratio, color=colour)
        faster = np.mean(distances[name][1:] < distances["SignGD"][1:])
        rows.append((str(n), name, f"{ratio[-1]:.4f}", f"{faster:.1%}"))
    axes[1, column].axhline(1.0, color="0.5", linewidth=0.8)
    axes[1, column].set(xlabel="iteration $k$", ylabel="distance$^2$ / SignGD's")
axes[0, 0].legend()

# %%
# The last ratio, and at which share of the iterates the variant is nearer to the minimiser than SignGD.

print_table("projected variants against SignGD", ("n", "variant", "last ratio", "nearer at"), rows)
show_if_asked()
