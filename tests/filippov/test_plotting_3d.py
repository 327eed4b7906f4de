"""Surfaces and trajectories in space."""

import matplotlib as mpl
import numpy as np
import pytest

from filippov import solve
from filippov.drawing.isosurface import zero_triangles
from filippov.drawing.plotting_3d import plot_trajectory_3d
from filippov.errors import InvalidInputError, InvalidTypeError
from flows import Quadratic, SignFlow

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

H = np.array([[2.0, 0.9, 0.3], [0.9, 1.5, -0.6], [0.3, -0.6, 1.2]])
PATH = solve(SignFlow(Quadratic(H)), (0, 3), [1.0, -0.6, 0.3])


def _area(triangles):
    a, b = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return 0.5 * np.linalg.norm(np.cross(a, b), axis=1).sum()


def test_a_plane_is_exact():
    axes = (np.linspace(-1, 1, 8), np.linspace(-1, 1, 5), np.linspace(0, 1, 6))
    x, y, z = np.meshgrid(*axes, indexing="ij")
    triangles = zero_triangles(axes, 0.2 * x + 0.2 * y - z + 0.5)
    np.testing.assert_allclose(triangles @ [0.2, 0.2, -1.0] + 0.5, 0.0, atol=1e-14)
    # Over the whole square [-1, 1]^2, which it does not leave through top or bottom.
    assert _area(triangles) == pytest.approx(4.0 * np.sqrt(1.0 + 0.2**2 + 0.2**2), rel=1e-12)


def test_a_sphere_has_its_area_to_second_order_and_no_cracks():
    errors = []
    for count in (16, 32):
        grid = np.linspace(-1.3, 1.3, count)
        x, y, z = np.meshgrid(grid, grid, grid, indexing="ij")
        triangles = zero_triangles((grid, grid, grid), x**2 + y**2 + z**2 - 1.0)
        errors.append(4 * np.pi - _area(triangles))
    assert 0 < errors[1] < errors[0] / 3.0
    corners, index = np.unique(triangles.reshape(-1, 3).round(9), axis=0, return_inverse=True)
    index = index.reshape(-1, 3)
    index = index[(index[:, 0] != index[:, 1]) & (index[:, 1] != index[:, 2]) & (index[:, 0] != index[:, 2])]
    edges = np.sort(np.concatenate([index[:, [0, 1]], index[:, [1, 2]], index[:, [2, 0]]]), axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    # Closed: every edge belongs to two triangles; and a sphere: Euler's number is 2.
    assert np.all(counts == 2)
    assert len(np.unique(index)) - len(counts) + len(index) == 2


def test_nothing_where_there_is_no_value():
    grid = np.linspace(-1, 1, 4)
    assert zero_triangles((grid, grid, grid), np.full((4, 4, 4), np.nan)).shape == (0, 3, 3)
    assert zero_triangles((grid, grid, grid), np.ones((4, 4, 4))).shape == (0, 3, 3)


def test_the_picture_holds_path_sliding_switches_and_surfaces():
    ax = plot_trajectory_3d(PATH)
    labels = [artist.get_label() for artist in (*ax.collections, *ax.lines)]
    assert {"trajectory", "sliding", "start", "sliding-entry", "sliding-change", "arrival"} <= set(labels)
    assert [name for name in labels if name.startswith("surface")] == ["surface 0", "surface 1", "surface 2"]
    (sliding,) = [one for one in ax.collections if one.get_label() == "sliding"]
    parts = sliding._segments3d
    np.testing.assert_allclose(
        [parts[0][0], parts[-1][-1]], [PATH.switches[0].x, PATH.switches[-1].x], atol=1e-14
    )
    ax = plot_trajectory_3d(PATH, axes=(2, 0, 1), surfaces=[1])
    assert ax.get_xlabel() == "$x_{3}$"
    assert [a.get_label() for a in ax.collections if a.get_label().startswith("surface")] == ["surface 1"]
    plt.close("all")


def test_bad_arguments_are_named():
    with pytest.raises(InvalidTypeError, match="trajectory must be"):
        plot_trajectory_3d("path")
    with pytest.raises(InvalidInputError, match="at least 3 states, got 1"):
        plot_trajectory_3d(solve(SignFlow(Quadratic([[1.0]])), (0, 1), [1.0]))
    with pytest.raises(InvalidInputError, match="axes must be three coordinates below 3"):
        plot_trajectory_3d(PATH, axes=(0, 1, 3))
    with pytest.raises(InvalidInputError, match="surfaces must be below 3, got 7"):
        plot_trajectory_3d(PATH, surfaces=[7])
    with pytest.raises(InvalidTypeError, match="ax must be three-dimensional"):
        plot_trajectory_3d(PATH, ax=plt.subplots()[1])
    plt.close("all")
