"""
Unit balls, and the face that a gradient exposes
================================================

F = -d||.||_*(g) is where a unit ball lies furthest against g: a point for almost every g, and a whole face where g is tied. It is
on those faces that flows slide. In the plane: boxes, diamonds, round balls, any polygon; in space: top-k, groups, and the
symmetric 2 by 2 matrices among all matrices.
"""

import matplotlib.pyplot as plt
import numpy as np
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.spatial import ConvexHull

from discretizers.experiments.drawing import print_table, show_if_asked
from flows import L1, L2, Group, GroupL1, LInf, Lp, Nuclear, Polytope, Spectral, TopK, Weighted
from flows.norms import KLargest

BALL, TIE, POINT = "#0072B2", "#D55E00", "#009E73"
ANGLES = np.linspace(0.0, 2.0 * np.pi, 721)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def corners(face, directions):
    """Return the distinct support points of a face in many directions, one a row."""
    points = np.array([face.support_point(d) for d in directions])
    return points[np.unique(np.round(points, 9), axis=0, return_index=True)[1]]


# %%
# In the plane. Green: a gradient in general position and its one velocity. Orange: a gradient at a tie, of which the smooth balls
# have none, and its face.

hexagon = np.stack([np.cos(np.arange(6) * np.pi / 3 + 0.3), np.sin(np.arange(6) * np.pi / 3 + 0.3)], axis=1)
normal = hexagon[0] + hexagon[1]
flat = {
    r"$\ell_\infty$": (LInf(), (1.0, 0.0)),
    r"$\ell_1$": (L1(), (1.0, 1.0)),
    "weighted $\\ell_\\infty$, $w$ = (1.3, 0.6)": (Weighted(LInf(), (1.3, 0.6)), (0.0, 1.0)),
    "polytope, 6 vertices": (Polytope(hexagon), tuple(normal)),
    r"$\ell_2$": (L2(), None),
    r"$\ell_4$": (Lp(4.0), None),
}
GENERAL = np.array([-0.5, -1.0])
rows = []


def check(name, norm, g, points):
    """Note how far <g, v> is from its least value -||g||_* on a face."""
    worst = np.max(np.abs(points @ g + norm.dual.value(g)))
    dimension = np.linalg.matrix_rank(points - points[0], tol=1e-9)
    rows.append((name, np.array2string(np.asarray(g), precision=3), str(dimension), f"{worst:.0e}"))


figure, axes = plt.subplots(2, 3, figsize=(10.0, 7.2), layout="constrained", sharex=True, sharey=True)
for axis, (name, (norm, tied)) in zip(axes.flat, flat.items(), strict=True):
    edge = CIRCLE / np.array([norm.value(d) for d in CIRCLE])[:, None]
    axis.fill(*edge.T, facecolor=BALL, alpha=0.15)
    axis.plot(*edge.T, color=BALL, linewidth=1.5, label="unit ball")
    for g, colour, text in ((GENERAL, POINT, "general"), (tied, TIE, "tied")):
        if g is None:
            continue
        g = np.asarray(g)
        points = corners(norm.face(g), CIRCLE)
        check(name, norm, g, points)
        end = -0.8 * g / np.linalg.norm(g)
        axis.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.5})
        axis.plot(*points.T, "o-", color=colour, linewidth=4, markersize=7, label=f"$F(g)$, $g$ {text}")
    axis.set(title=name, aspect="equal", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))
for axis in axes[-1]:
    axis.set_xlabel("$v_1$")
for axis in axes[:, 0]:
    axis.set_ylabel("$v_2$")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure.suptitle(
    "the velocity is where the ball reaches furthest along $-g$ (arrows): one point, or a face at a tie"
)

# %%
# In space, a face at a tie. The ball of top-2 is the cuboctahedron, its dual's the rhombic dodecahedron. A group at rest gives a
# disc, a tie of two groups a segment. Symmetric 2 by 2 matrices are drawn in the coordinates (difference of the diagonal, twice
# the corner, trace) / sqrt 2, in which <g, v> is the Euclidean product. Their spectral ball is a double cone and their nuclear
# ball a cylinder: up to scale the balls of the two groups, in the other order. A gradient of rank one has a segment as its
# spectral face, W from -1 to 1; the nuclear face of a multiple of the identity is a disc.


def unfold(z):
    """Return the symmetric matrix of three coordinates, row by row."""
    return np.array([z[2] + z[0], z[1], z[1], z[2] - z[0]]) / np.sqrt(2.0)


def fold(v):
    """Return the three coordinates of a symmetric matrix."""
    return np.array([v[0] - v[3], v[1] + v[2], v[0] + v[3]]) / np.sqrt(2.0)


polar, around = np.meshgrid(np.linspace(0.0, np.pi, 41), np.linspace(0.0, 2.0 * np.pi, 73), indexing="ij")
SPHERE = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
DIRECTIONS = SPHERE[1:-1:2, ::3].reshape(-1, 3) + 1e-6 * np.array([1.0, 2.0, 3.0])
pair, single = (0, 1), (2,)
solid = {
    r"$\ell_\infty$": (LInf(), (0.0, 1.0, 0.0)),
    r"$\ell_1$": (L1(), (1.0, 1.0, -1.0)),
    "top-2": (TopK(2), (1.0, 1.0, -1.0)),
    "dual of top-2": (KLargest(2), (-1.0, 1.0, 0.0)),
    "group, {1, 2} and {3}": (Group(L2(), (pair, single)), (0.0, 0.0, -1.0)),
    "group $\\ell_1$, {1, 2} and {3}": (GroupL1((pair, single)), (0.6, 0.8, -1.0)),
    "spectral, symmetric": (Spectral((2, 2)), unfold((0.6, 0.8, -1.0))),
    "nuclear, symmetric": (Nuclear((2, 2)), unfold((0.0, 0.0, -1.0))),
}


def facets(norm):
    """Return the facets of a polyhedral ball, each a polygon: the faces that its outward normals expose."""
    tips = np.unique(np.round([norm.face(d).support_point(-d) for d in DIRECTIONS], 12), axis=0)
    normals = np.unique(np.round(ConvexHull(tips).equations[:, :3], 9), axis=0)
    return [polygon(norm.face(-normal, 1e-8).vertices()) for normal in normals]


def polygon(points):
    """Return points of a plane convex figure in order around their centre."""
    middle = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - middle)
    flat = (points - middle) @ axes[:2].T
    return points[np.argsort(np.arctan2(flat[:, 1], flat[:, 0]))]


figure, axes = plt.subplots(
    2, 4, figsize=(13.0, 7.4), layout="constrained", subplot_kw={"projection": "3d", "proj_type": "ortho"}
)
for axis, (name, (norm, tied)) in zip(axes.flat, solid.items(), strict=True):
    symmetric = len(tied) == 4
    inside = fold if symmetric else np.asarray
    outside = unfold if symmetric else np.asarray
    surface = SPHERE / np.array([[norm.value(outside(d)) for d in line] for line in SPHERE])[..., None]
    if isinstance(norm, (LInf, L1, TopK, KLargest)):
        axis.add_collection3d(
            Poly3DCollection(facets(norm), facecolor=BALL, edgecolor=BALL, alpha=0.15, zorder=1)
        )
    else:
        axis.plot_surface(*np.moveaxis(surface, -1, 0), color=BALL, alpha=0.18, linewidth=0, zorder=1)
        # The rims lie at 45 and 90 degrees from the axis.
        axis.plot_wireframe(
            *np.moveaxis(surface, -1, 0), rstride=10, cstride=9, color=BALL, linewidth=0.6, zorder=2
        )
    g = np.array(tied)
    points = corners(norm.face(g), [outside(d) for d in DIRECTIONS])
    check(name, norm, g, points)
    shown = np.array([inside(p) for p in points])
    if np.linalg.matrix_rank(shown - shown[0], tol=1e-9) == 2:
        face = Poly3DCollection([polygon(shown)], facecolor=TIE, edgecolor=TIE, alpha=0.75, zorder=3)
        axis.add_collection3d(face)
    else:
        axis.plot(*shown.T, "o-", color=TIE, linewidth=4, markersize=5, zorder=3)
    size = np.max(np.abs(surface))
    start, arrow = shown.mean(axis=0), -inside(g) / np.linalg.norm(g)
    axis.quiver(
        *start, *(0.8 * size * arrow), color="black", linewidth=1.6, arrow_length_ratio=0.25, zorder=4
    )
    limits = (-1.12 * size, 1.12 * size)
    axis.set(xlim=limits, ylim=limits, zlim=limits)
    axis.set_box_aspect((1, 1, 1), zoom=0.86)
    axis.computed_zorder = False
    ticks = (-1, 0, 1) if size >= 1.0 else (-0.5, 0, 0.5)
    axis.set(xticks=ticks, yticks=ticks, zticks=ticks)
    axis.view_init(elev=20, azim=-65)
    axis.tick_params(labelsize="x-small", pad=-2)
    names = (
        ("$(a-c)/\\sqrt{2}$", "$2b/\\sqrt{2}$", "$(a+c)/\\sqrt{2}$")
        if symmetric
        else ("$v_1$", "$v_2$", "$v_3$")
    )
    for label, text in zip((axis.set_xlabel, axis.set_ylabel, axis.set_zlabel), names, strict=True):
        label(text, labelpad=-5, fontsize="small")
    axis.set_title(name, fontsize="medium")
figure.suptitle("orange: the face $F(g)$ at a tie; arrows: $-g$ from its middle")

# %%
# Every face drawn, its dimension, and by how much <g, v> on it misses its least value -||g||_*.

print_table("faces", ("norm", "g", "dimension of F(g)", "largest |<g, v> + ||g||_*|"), rows)
show_if_asked()
