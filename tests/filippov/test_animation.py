"""Films show the point where the trajectory is, and the set that its velocity comes from."""

import matplotlib as mpl
import numpy as np
import pytest

from filippov import PiecewiseSmooth, Trajectory, solve
from filippov.drawing.animation import animate, moving_set
from filippov.errors import InvalidInputError, InvalidTypeError
from flows import GreedyFlow, Quadratic, SignFlow, Symbolic

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

FLOW = SignFlow(Symbolic("(y - 0.5*x)**2/2 + x", ["x", "y"]))
PATH = solve(FLOW, (0, 0.8), [0.3, 0.4])


@pytest.fixture(autouse=True)
def _no_figures():
    yield
    plt.close("all")


def _show(film, k):
    """Draw frame k; return the artists by what they are."""
    point, body, edge, arrow, clock = film._func(k)
    film._draw_was_started = True  # matplotlib warns of films that nobody looked at
    return point, body, edge, arrow, clock


def test_the_set_is_a_point_before_the_switch_and_a_segment_on_the_line():
    film = animate(PATH, frames=5)  # t = 0, 0.2, 0.4, 0.6, 0.8; the switch is at 0.5
    for k, corners in enumerate([1, 1, 1, 2, 2]):
        point, body, edge, arrow, clock = _show(film, k)
        t = 0.2 * k
        np.testing.assert_allclose(np.ravel(point.get_data()), PATH.sol(t), atol=1e-15)
        outline = np.unique(np.round(np.column_stack(edge.get_data()), 9), axis=0)
        assert len(outline) == corners
        assert np.all(outline[:, 0] == -1.0)
        np.testing.assert_allclose(
            [arrow.U, arrow.V], np.reshape([-1.0, -1.0 if k < 3 else -0.5], (2, 1)), atol=1e-14
        )
        assert ("sliding" in clock.get_text()) == (k >= 3)


def test_velocities_lie_in_the_moving_set():
    rng = np.random.default_rng(3)
    root = rng.standard_normal((3, 3))
    Q = Quadratic(root @ root.T + np.eye(3))
    bend = PiecewiseSmooth(
        lambda t, x: [x[0] + 0.1 * np.sin(x[1])],
        {1: lambda t, x: [-1.0, 0.5 * x[0] + 0.3], -1: lambda t, x: [1.0, 1.0]},
        dim=2,
    )
    for system, start in (
        (SignFlow(Q), [1.0, -0.6, 0.3]),
        (GreedyFlow(Q), [1.0, -0.6, 0.3]),
        (bend, [0.7, -0.6]),
    ):
        path = solve(system, (0, 2), start)
        slid = 0
        for t in np.linspace(0.01, 1.99, 23):
            found = moving_set(path, system, float(t))
            assert found.distance(path.velocity(float(t))) < 1e-7
            sliding = path.mode_at(float(t)).codimension > 0
            slid += sliding
            # A point off the surfaces, more than that on them, although the state is there only to rounding.
            assert found.is_point != sliding
        assert slid > 3


def test_films_of_more_states_show_time(tmp_path):
    path = solve(SignFlow(Quadratic(np.diag([1.0, 2.0, 3.0]))), (0, 10), [1.0, 0.5, 0.2])
    film = animate(path, frames=3, axes=(2, 0))
    cursor, *_ = film._func(2)
    film._draw_was_started = True
    # Up to the arrival, which is max |x_i|.
    np.testing.assert_allclose(cursor.get_xdata(), [1.0, 1.0], rtol=1e-14)


def test_files(tmp_path):
    from PIL import Image

    animate(PATH, path=tmp_path / "new" / "film.gif", frames=4, fps=10)
    with Image.open(tmp_path / "new" / "film.gif") as picture:
        assert picture.n_frames == 4
        assert picture.info["duration"] == 100
    animate(PATH, path=tmp_path / "film.html", frames=3)
    text = (tmp_path / "film.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64") == 3
    assert "<link" not in text
    assert "https://" not in text


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(InvalidTypeError, match="trajectory must be"):
        animate("film")
    PATH.save(tmp_path / "a.npz")
    with pytest.raises(InvalidInputError, match="system must be given"):
        animate(Trajectory.load(tmp_path / "a.npz"))
    with pytest.raises(InvalidTypeError, match="system must be"):
        animate(PATH, "flow")
    with pytest.raises(InvalidInputError, match="system must have 2 states, got 1"):
        animate(PATH, SignFlow(Quadratic([[1.0]])))
    with pytest.raises(InvalidInputError, match=r"path must end in \.gif or \.html"):
        animate(PATH, path=tmp_path / "film.mov")
    with pytest.raises(InvalidInputError, match="frames must be"):
        animate(PATH, frames=1)
    with pytest.raises(InvalidInputError, match="axes must be two coordinates below 2"):
        animate(PATH, axes=(0, 2))
    with pytest.raises(InvalidInputError, match="fps must be"):
        animate(PATH, fps=0)
    assert not (tmp_path / "film.mov").exists()
