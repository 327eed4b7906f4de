"""
Figures 9 and 10: flips
=======================

How many components one-hit freeze undoes and two-hit sliding tracks in each step, in the two dimensions of figures 7
and 8 (averages over windows). Near the minimiser almost every component flips at every step.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments import ridge_logistic, run_methods
from discretizers.experiments.drawing import print_table, show_if_asked

WINDOW = 10
figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained", sharex=True)
rows = []
for axis, n in zip(axes, (20, 100), strict=True):
    problem = ridge_logistic(seed=0, n=n)
    runs = run_methods(problem, ("SignGD", "one-hit freeze", "two-hit sliding"))
    counts = {
        "SignGD, flips": runs["SignGD"].flips,
        "one-hit, freezes": runs["one-hit freeze"].freezes,
        "two-hit, track events": runs["two-hit sliding"].two_hits,
    }
    for (name, each), colour in zip(counts.items(), ("0.6", "#E69F00", "#CC79A7"), strict=True):
        mean = each.reshape(-1, WINDOW).mean(axis=1)
        axis.step(WINDOW * np.arange(mean.size), mean, where="post", color=colour, label=name)
        rows.append((str(n), name, f"{each.mean():.2f}", f"{each.mean() / n:.1%}"))
    axis.set(title=problem.name, xlabel="iteration $k$", ylabel="components a step")
axes[0].legend()

# %%
# Means over the whole run. A track event needs two flips in a row and moves its component close to zero gradient, after
# which it takes some steps until the next: that is why there are fewer.

print_table("components a step", ("n", "what", "mean", "share of n"), rows)
show_if_asked()
