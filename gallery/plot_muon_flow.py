"""
Muon's flow, where the gradient loses rank
==========================================

Muon moves a matrix along minus the polar factor U V' of its gradient; as the step goes to 0 that is steepest descent in the
spectral norm. Where a singular value of the gradient reaches zero the polar factor jumps, and the flow slides: the gradient
keeps its lower rank. For ||A X - B||^2 / 2 it never leaves that; for ||A X C - B||^2 / 2 it can.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers import Muon, run
from discretizers.experiments.drawing import print_table, show_if_asked
from discretizers.muon import COEFFICIENTS
from filippov import solve
from flows import MatrixLeastSquares, MatrixSensing, NormFlow, Spectral

SHAPE = (3, 3)
rng = np.random.default_rng(6)


def conditioned(m, n):
    """Return a random matrix with singular values from 1 to 1/4."""
    u, v = (np.linalg.qr(rng.standard_normal((size, n)))[0] for size in (m, n))
    return (u * np.geomspace(1.0, 0.25, n)) @ v.T


A, B, C, x0 = conditioned(4, 3), rng.standard_normal((4, 3)), conditioned(3, 3), 2.0 * rng.standard_normal(9)
# The entries of A X C are <a_i c_j', X>, of rank-one sensors.
sensors = np.array([np.outer(row, column) for row in A for column in C.T])
problems = {
    r"$\|AX-B\|^2/2$": MatrixLeastSquares(A, B),
    r"$\|AXC-B\|^2/2$": MatrixSensing(sensors, B.ravel()),
}
paths = {name: solve(NormFlow(f, Spectral(SHAPE)), (0, 30), x0) for name, f in problems.items()}


def singular_values(vectors):
    """Return the singular values of each column as a matrix, (3, number of columns)."""
    return np.linalg.svd(vectors.T.reshape(-1, *SHAPE), compute_uv=False).T


def gradients(f, y):
    """Return the gradient at each column."""
    return np.stack([f.grad(x) for x in y.T], axis=1)


def lost_curvatures(f, y):
    """Return the curvature of f along u3 v3' and the Frobenius norm of the gradient at each column."""
    u, s, vt = np.linalg.svd(gradients(f, y).T.reshape(-1, *SHAPE))
    directions = np.einsum("ti,tj->tij", u[:, :, 2], vt[:, 2]).reshape(len(s), -1)
    return np.einsum("ti,ij,tj->t", directions, f.Q, directions), np.linalg.norm(s, axis=1)


rows = [
    (name, f"{s.t:.6f}", s.kind, str(s.codimension)) for name, path in paths.items() for s in path.switches
]
print_table("switches of the flow", ("f", "t", "kind", "codimension"), rows)
for name, path in paths.items():
    print(f"{name}: rank-deficient for {path.sliding_time:.3f} of {path.arrival_time:.3f}; {path.certify()}")

# %%
# Above: the singular values of the gradient along the flow. Below: the least of them at the iterates of Muon, with the exact
# polar factor and with five Newton-Schulz iterations. Grey: the gradient of the flow has lost rank. On the right the rank
# comes back for a while, and Muon's chatter with it ends and begins again.

BLACK, BLUE, ORANGE, GREEN, PINK, VERMILION = "black", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"
STEPS = {0.1: ORANGE, 0.02: GREEN, 0.004: PINK}
GREYS = {2: "0.90", 1: "0.78"}
figure, axes = plt.subplots(
    3, 2, figsize=(11.0, 9.0), layout="constrained", sharex="col", sharey="row", height_ratios=(1.2, 1, 1)
)
for column, (name, path) in enumerate(paths.items()):
    f, end, top = problems[name], path.arrival_time, axes[0, column]
    for axis in axes[:, column]:
        for segment in path.segments:
            rank = SHAPE[0] - len(segment.sliding)
            if rank in GREYS:
                axis.axvspan(segment.t0, segment.t1, color=GREYS[rank], linewidth=0)
    times = np.linspace(0.0, end, 1200)
    values = singular_values(gradients(f, path.sol(times)))
    for i, (each, colour) in enumerate(zip(values, (BLACK, BLUE, VERMILION), strict=True)):
        top.plot(times, each, color=colour, linewidth=2, label=rf"$\sigma_{i + 1}$")
    for axis, polar in zip(axes[1:, column], ("exact", "newton-schulz"), strict=True):
        for h, colour in STEPS.items():
            iterates = run(Muon(h, SHAPE, polar), f, x0, round(end / h))
            least = singular_values(gradients(f, iterates.y))[-1]
            axis.semilogy(iterates.t, least, color=colour, linewidth=0.8, label=f"$h$ = {h:g}")
    axes[2, column].set(xlabel="time $t$ (steps times $h$)", xlim=(0, end))
for rank, grey in GREYS.items():
    axes[0, 0].fill([], [], color=grey, label=f"rank {rank}")
# A square-root scale: it shows both zero and the large values.
axes[0, 0].set_yscale("function", functions=(lambda y: np.sqrt(np.abs(y)), np.square))
axes[0, 0].set_yticks((0, 0.05, 0.2, 0.5, 1, 2, 4), ("0", "0.05", "0.2", "0.5", "1", "2", "4"))
axes[0, 0].set(
    title="$\\|AX-B\\|^2/2$: a lost rank stays lost", ylabel=r"singular values of $\nabla f$, flow"
)
axes[0, 1].set(title="$\\|AXC-B\\|^2/2$: a rank can come back")
axes[1, 0].set(ylabel=r"$\sigma_3(\nabla f)$, Muon, exact polar", ylim=(1e-6, 0.5))
axes[2, 0].set(ylabel=r"$\sigma_3(\nabla f)$, Muon, Newton-Schulz", ylim=(1e-6, 0.5))
axes[0, 0].legend(fontsize="small", ncols=2)
legend = axes[1, 0].legend(fontsize="small", loc="lower left")
for line in legend.get_lines():
    line.set_linewidth(2.5)

# %%
# Why the first problem cannot release. In the lost directions the flow moves by W, ||W|| <= 1, chosen so that they stay lost:
# U2' H[U1 V1' + U2 W V2'] V2 = 0. For H[V] = A'A V the first term is U2'A'A U1 (V1'V2) = 0, so W = 0. With A'A V CC' it is not
# zero, and where ||W|| reaches 1 the rank comes back.
#
# How far Muon strays, before a second rank is lost: the chatter of the exact polar factor is of first order in h and at
# most about (1 + ||W||) K h, K the curvature of f along u3 v3'; the error is of first order too. Newton-Schulz is smooth at
# zero, of slope c / ||G||_F with c = 3.4445^5: once K h < 2 ||G||_F / c the lost singular value no longer chatters, but
# rests where the step supplies the W that it needs. Its steps are not of length 1, though, and its iterates converge to
# another path. How far it is from the polar factor, over 20 seeds of each of eight kinds of matrices:
# `benchmarks/newton_schulz.py`; its table is in `docs/results.md`.

UNTIL = 4.5
sizes = 0.064 / 2.0 ** np.arange(6)
rise = COEFFICIENTS[0] ** 5
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13.0, 4.3), layout="constrained")
rows = []
for (name, path), colour in zip(paths.items(), (BLUE, VERMILION), strict=True):
    f = problems[name]
    lost = next(segment for segment in path.segments if segment.sliding)
    times = np.linspace(0.0, path.arrival_time, 1500)[:-1]
    ranks = np.array([SHAPE[0] - len(path.mode_at(t).sliding) for t in times])
    speeds = singular_values(path.velocity(times))
    w = np.where(ranks < 3, speeds[np.minimum(ranks, 2), np.arange(times.size)], np.nan)
    left.plot(times, w, color=colour, linewidth=2, label=name)

    late = np.linspace(0.5 * (lost.t0 + lost.t1), lost.t1, 60)[:-1]
    curvatures, norms = lost_curvatures(f, path.sol(late))
    K_h = np.max(curvatures * (1.0 + singular_values(path.velocity(late))[-1]))
    for polar, marker, dash in (("exact", "o", "-"), ("Newton-Schulz", "s", "--")):
        chatter, errors = [], []
        for h in sizes:
            iterates = run(Muon(h, SHAPE, polar.lower()), f, x0, round(UNTIL / h))
            during = (iterates.t >= late[0]) & (iterates.t <= late[-1])
            chatter.append(singular_values(gradients(f, iterates.y[:, during]))[-1].max())
            errors.append(np.max(np.abs(iterates.y - path.sol(iterates.t))))
        shown = ["-", "-"]
        if polar == "exact":
            print(f"{name}: chatter over (1 + ||W||) K h at most {np.max(chatter / (K_h * sizes)):.3f}")
            shown = [f"{np.polyfit(np.log(sizes), np.log(each), 1)[0]:.2f}" for each in (chatter, errors)]
        rows.append((name, polar, *shown, f"{chatter[-1]:.2g}", f"{errors[-1]:.3g}"))
        for axis, each, slope in zip((middle, right), (chatter, errors), shown, strict=True):
            text = f"{name}, {polar}" + (f", slope {slope}" if polar == "exact" else "")
            axis.loglog(sizes, each, marker + dash, color=colour, label=text, markersize=5)
    middle.loglog(sizes, K_h * sizes, ":", color=colour, label=rf"{name}, $(1+\|W\|)Kh$ = {K_h:.2g} $h$")
    # The last iterates are those of Newton-Schulz with the smallest step.
    curvatures, norms = lost_curvatures(f, iterates.y[:, during][:, ::10])
    calm = np.sort(2.0 * norms / (rise * curvatures))
    print(
        f"{name}: c = {rise:.0f}; along Newton-Schulz, 2 ||G||_F / (c K) is {calm[0]:.2g} to {calm[-1]:.2g}"
    )
left.axhline(1.0, color="0.5", linewidth=1, linestyle="--", label="release")
left.set(
    title="$W=0$; or released where $\\|W\\|=1$", xlabel="time $t$", ylabel=r"$\|W\|$ while rank is lost"
)
middle.set(title="chatter is of order $h$; Newton-Schulz calms", xlabel="step $h$", ylim=(1e-8, 0.3))
middle.set_ylabel(r"largest $\sigma_3(\nabla f)$ while rank is lost")
right.set(title="error: order 1; Newton-Schulz strays", xlabel="step $h$")
right.set_ylabel(r"largest $|x_k - x(t_k)|$, $t \leq 4.5$")
for axis in (middle, right):
    axis.set_xticks(sizes, [f"{h:g}" for h in sizes], rotation=30)
    axis.xaxis.minorticks_off()
left.legend(fontsize="small")
middle.legend(fontsize="x-small", loc="lower left")
right.legend(fontsize="x-small", loc="center left")
at = f"at h = {sizes[-1]:g}"
header = ("f", "polar factor", "slope of chatter", "slope of error", f"chatter {at}", f"error {at}")
print_table(f"fitted over {sizes.size} step sizes from {sizes[0]:g} to {sizes[-1]:g}", header, rows)
show_if_asked()
