"""
Figure 11: breast cancer, every scheme and the exact flow
=========================================================

Ridge logistic regression on the Wisconsin breast cancer data, split into training, validation and test patients. Left:
the gap against iterations. Right: against time, the sum of the steps, with the exact sign flow (broad grey), which
every sign scheme without inertia follows until its step is too long.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers import (
    Adaptive,
    Armijo,
    BallProximal,
    FaceAware,
    GreedyCD,
    NormalizedGD,
    OneHitFreeze,
    SignGD,
    TwoHitSliding,
    compare,
    run,
)
from discretizers.experiments import breast_cancer_problem, iterations_to, run_methods, run_tuned
from discretizers.experiments.drawing import draw_curves, print_table, show_if_asked
from filippov import solve
from flows import SignFlow

BUDGET = 500
problem = breast_cancer_problem(seed=0)
objective, f_star = problem.objective, problem.minimizer[1]

path = solve(SignFlow(objective), (0, 100), problem.x0)
arrival = path.arrival_time

# %%
# All runs have the same budget. Constant steps are tuned on the validation patients.

runs = {}
for name in ("SignGD", "ASGD, restart", "ASGD, no restart"):
    iterates, tuned = run_tuned(problem, name, n_steps=BUDGET)
    runs[f"{name} (constant {tuned.step:.2g})"] = iterates
for name, iterates in run_methods(problem, n_steps=BUDGET).items():
    runs[f"{name} (adaptive)"] = iterates
schemes = {
    "SignGD (face-aware)": SignGD(FaceAware()),
    "SignGD (Armijo)": SignGD(Armijo()),
    "one-hit freeze (adaptive)": OneHitFreeze(Adaptive()),
    "two-hit sliding (adaptive)": TwoHitSliding(Adaptive()),
    "normalized GD (adaptive)": NormalizedGD(Adaptive()),
    "greedy CD (face-aware)": GreedyCD(FaceAware()),
    f"ball-proximal (h = {arrival / 50:.2g})": BallProximal(arrival / 50),
}
for name, scheme in schemes.items():
    runs[name] = run(scheme, objective, problem.x0, BUDGET, tol=1e-13, minimizer=problem.minimizer)

figure, (left, right) = plt.subplots(1, 2, figsize=(12.5, 5.2), layout="constrained", sharey=True)
draw_curves(left, {name: iterates.gap for name, iterates in runs.items()}, "$f - f^*$")
left.set_title(problem.name)
for line, iterates in zip(left.lines, runs.values(), strict=True):
    shown = (iterates.gap > 1e-12) & (iterates.t <= 1.3 * arrival)
    right.semilogy(iterates.t[shown], iterates.gap[shown], line.get_linestyle(), color=line.get_color())
times = np.linspace(0, arrival, 400)
gaps = np.array([objective.value(x) for x in path.sol(times).T]) - f_star
right.semilogy(
    times[gaps > 1e-12], gaps[gaps > 1e-12], color="0.75", linewidth=7, zorder=0, label="exact sign flow"
)
right.set(xlabel="time $t$, the sum of the steps", ylim=(1e-11, None), title="the same against time")
right.legend()
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")

# %%
# The table: iterations to a thousandth of the first gap, the last gap, the share of test patients classified correctly,
# and how far the orbit is from that of the exact sign flow (Hausdorff distance, time forgotten; normalized GD, greedy
# CD and inertial schemes follow other paths).


def accuracy(x):
    return f"{np.mean(problem.test.y * (problem.test.A @ x) > 0):.1%}"


rows = [("exact sign flow", "-", f"{gaps[-1]:.1e}", f"{arrival:.4g}", accuracy(path.sol(arrival)), "0")]
for name, iterates in runs.items():
    comparison = compare(path, iterates)
    rows.append(
        (
            name,
            f"{iterations_to(iterates, 1e-3):.0f}",
            f"{iterates.gap[-1]:.1e}",
            f"{iterates.t[-1]:.4g}",
            accuracy(iterates.y[:, -1]),
            f"{comparison.hausdorff:.2g}",
        )
    )
header = ("scheme", "iterations to 1e-3 gap", "last gap", "time", "test accuracy", "orbit distance")
print_table(f"{problem.name}, {BUDGET} steps", header, rows)
print(f"The exact flow: {len(path.switches)} switches, arrival at t = {arrival:.10g}; {path.certify()}")
show_if_asked()
