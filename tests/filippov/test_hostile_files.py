"""Corrupt and hostile files, full disks, two writers at a time: one named error, and the old file survives."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from filippov import InvalidInputError, OtherInputWarning, Trajectory, solve
from filippov.storing.npz import read_npz, write_npz
from filippov.storing.storage import pack_trajectory
from filippov.storing.whole_files import replacing
from flows import NormalizedFlow, Quadratic, SignFlow

FLOW = SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, -0.3]))
PATH = solve(FLOW, (0, 6), [1.0, -2.0], events=lambda t, x: x[0])
CURVED = solve(NormalizedFlow(FLOW.objective), (0, 1), [1.0, -2.0])
CHAIN = 2.5 * np.eye(6) - np.eye(6, k=1) - np.eye(6, k=-1)
LEDGER = solve(SignFlow(Quadratic(csr_array(CHAIN), CHAIN @ np.arange(6.0))), (0, 9), np.cos(np.arange(6)))

# -- reading ------------------------------------------------------------------------------------------------------------


def outcome(file: Path) -> Trajectory | None:
    """Load, use and return a trajectory, or None where it is refused in one line."""
    try:
        path = Trajectory.load(file)
    except InvalidInputError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert refusal.startswith("path must be a trajectory file")
        assert "\n" not in refusal
        return None
    assert len(repr(path)) > 0
    assert path.velocity(path.t).shape == path.y.shape
    assert path.sliding_time >= 0.0
    for switch in path.switches:
        assert np.isfinite(switch.x).all()
    return path


@pytest.mark.parametrize("path", [PATH, CURVED, LEDGER], ids=["straight", "curved", "ledger"])
def test_every_flipped_bit_is_refused_or_changes_nothing(path: Trajectory, tmp_path: Path) -> None:
    file = tmp_path / "path.npz"
    path.save(file)
    good = file.read_bytes()
    times = np.linspace(0, path.t_end, 9)
    expected = Trajectory.load(file).sol(times)
    for k, position in enumerate(range(0, len(good), 13)):
        bad = bytearray(good)
        bad[position] ^= 1 << (k % 8)
        file.write_bytes(bad)
        found = outcome(file)
        assert found is None or np.array_equal(found.sol(times), expected)
    for length in range(0, len(good), 101):
        file.write_bytes(good[:length])
        assert outcome(file) is None


def mutations(name: str, array: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Return what an array could be instead, with an intact checksum around it."""
    found: list[np.ndarray] = [
        *(np.zeros(shape) for shape in ((), (0,), (3,), (0, 0), (2, 2, 2))),
        *(np.array("text"), np.array([True]), np.array(np.nan), np.full(array.shape, np.nan)),
        *(array.astype("U9"), array[..., None]),
    ]
    if array.dtype.kind not in "fib":
        return found
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found += [array.astype(kind) for kind in ("c16", "f4", "f2", "u8", "i8", "i1", "b1", ">f8", "g")]
        found += [-array.astype("i8"), array.astype("f8") * np.inf]
    if array.ndim and array.size:
        found += [array[::-1], array[:-1], np.concatenate([array, array]), np.roll(array, 1, 0)]
        for _ in range(8):
            changed = array.copy()
            place = tuple(int(random.integers(side)) for side in array.shape)
            extremes = {
                "f": [0.0, np.nan, np.inf, -1e300, 5e-324],
                "i": [0, -1, 3, 127, -128],
                "b": [True, False],
            }
            changed[place] = random.choice(extremes[array.dtype.kind])
            found.append(changed)
    return found


@pytest.mark.parametrize("path", [PATH, CURVED, LEDGER], ids=["straight", "curved", "ledger"])
def test_arrays_that_do_not_fit_are_refused(path: Trajectory, tmp_path: Path) -> None:
    file, random = tmp_path / "path.npz", np.random.default_rng(0)
    arrays = pack_trajectory(path)
    refused = 0
    for name, array in arrays.items():
        rest = {other: value for other, value in arrays.items() if other != name}
        np.savez(file, **rest)
        assert outcome(file) is None, f"without {name}"
        for changed in mutations(name, array, random):
            np.savez(file, **rest, **{name: changed})
            refused += outcome(file) is None
    assert refused > 300


def test_ledgers_whose_states_overflow_are_refused(tmp_path: Path) -> None:
    """States of a ledger are sums and products of what is stored: each number is finite, and they need not be."""
    arrays, refused = pack_trajectory(LEDGER), set()
    for name in [name for name in arrays if name.startswith("ledger_") and arrays[name].dtype.kind == "f"]:
        for at in np.ndindex(arrays[name].shape):
            for value in (1e308, -1e308, 5e-324):
                changed = arrays[name].copy()
                changed[at] = value
                np.savez(tmp_path / "path.npz", **{**arrays, name: changed})
                if outcome(tmp_path / "path.npz") is None:
                    refused.add(name)
    assert {"ledger_v", "ledger_velocity", "ledger_t"} <= refused


@pytest.mark.parametrize(
    "times", [[np.nan, 1.0], [2.0, 1.0], [-1.0, 1.0], [0.0, 1e9]], ids=["nan", "order", "before", "after"]
)
def test_times_are_checked(times: list[float], tmp_path: Path) -> None:
    arrays = pack_trajectory(PATH)
    for name in ("t", "switch_t", "event_0_t"):
        changed = arrays[name].copy()
        changed[: len(times)] = times[: changed.size]
        if changed.size < 2:
            continue
        np.savez(tmp_path / "path.npz", **{**arrays, name: changed})
        with pytest.raises(InvalidInputError, match=name):
            Trajectory.load(tmp_path / "path.npz")


def test_headers_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "path.npz"
    arrays = pack_trajectory(PATH)
    header = json.loads(str(arrays["header"]))
    texts = ["[" * 100_000, '{"a":' * 5_000, "1" * 5_000, "null", "[]", "", "nan", '{"format": []}']
    for name in header:
        for value in (None, [], {}, "x", 1e999, -1, 3.5, 10**30, {"a": [1]}, {"a": None}):
            if not (name in ("version", "digest") and (value is None or value == "x")):
                texts.append(json.dumps({**header, name: value}))
    accepted = []
    for text in texts:
        np.savez(file, **{**arrays, "header": np.array(text)})
        if outcome(file) is not None:
            accepted.append(text[:300])
    # What is left says something else, but nothing impossible: another message, counts, status -1, no options.
    assert len(accepted) <= 8, accepted


@pytest.mark.parametrize(
    "written", ["filippov-trajectory-0", "filippov-trajectory-99", "another-format", None]
)
def test_other_versions_are_one_named_error(written: str | None, tmp_path: Path) -> None:
    arrays = pack_trajectory(PATH)
    header = {**json.loads(str(arrays["header"])), "format": written}
    np.savez(tmp_path / "path.npz", **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(
        InvalidInputError,
        match=r"is of the format .* reads filippov-trajectory-1, .*-2, filippov-trajectory-3",
    ):
        Trajectory.load(tmp_path / "path.npz")


def of_format(arrays: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the arrays with the header of an earlier format."""
    header = {**json.loads(str(arrays["header"])), "format": f"filippov-trajectory-{number}"}
    if number == 1:
        del header["version"], header["digest"]
    return {**arrays, "header": np.array(json.dumps(header))}


def test_files_of_the_first_format_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "path.npz", **of_format(pack_trajectory(PATH), 1))
    again = Trajectory.load(tmp_path / "path.npz", FLOW)
    assert again.version is None
    np.testing.assert_array_equal(again.y, PATH.y)


@pytest.mark.parametrize("path", [PATH, LEDGER], ids=["straight", "ledger"])
def test_files_of_the_second_format_are_read_where_nothing_has_changed(
    path: Trajectory, tmp_path: Path
) -> None:
    np.savez(tmp_path / "path.npz", **of_format(pack_trajectory(path), 2))
    np.testing.assert_array_equal(Trajectory.load(tmp_path / "path.npz").y, path.y)
    path.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as written:
        assert json.loads(str(written["header"]))["format"] == "filippov-trajectory-3"


def test_early_files_of_the_second_format_say_what_to_do(tmp_path: Path) -> None:
    arrays = of_format(pack_trajectory(LEDGER), 2)
    del arrays["ledger_own"], arrays["ledger_lapse"]
    arrays["ledger_t"] = arrays["ledger_t"][1:]
    np.savez(tmp_path / "path.npz", **arrays)
    with pytest.raises(
        InvalidInputError, match=r"early filippov-trajectory-2, .* no clocks: solve again and save"
    ):
        Trajectory.load(tmp_path / "path.npz")


class Bomb:
    """Unpickled, it would leave a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    file, marker = tmp_path / "path.npz", tmp_path / "unpickled"
    arrays = pack_trajectory(PATH)
    for name in ("header", "t", "piece_states"):
        np.savez(file, **{**arrays, name: np.array([Bomb(marker)], dtype=object)})
        with pytest.raises(InvalidInputError, match="type"):
            Trajectory.load(file)
    np.save(file.open("wb"), np.array([Bomb(marker)], dtype=object))
    assert outcome(file) is None
    assert not marker.exists()


def member(shape: tuple[int, ...], kind: str = "<f8", order: bool = False, body: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": order, "shape": shape})
    return stream.getvalue() + body


@pytest.mark.parametrize(
    "data",
    [
        member((10**15,)),
        member((2**40, 2**40)),
        member((10**30, 0)),
        member((-1, -1), body=bytes(8)),
        member((1,), "|V8", body=bytes(8)),
        member((1,), "|O", body=bytes(8)),
        member((1,), "<M8[s]", body=bytes(8)),
        member((1,), body=bytes(16)),
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + bytes(20),
        b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16,
        b"\x93NUMPY\x01\x00\x30\x00" + b"{'descr': '<f8', 'shape': (1,)} " + b" " * 15 + b"\n",
    ],
)
def test_claimed_shapes_take_no_memory(data: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "path.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.npy", data)
    assert outcome(tmp_path / "path.npz") is None


def test_zip_bombs_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filippov.storing.npz as npz

    monkeypatch.setattr(npz, "UNPACKED_BYTES", 10_000)
    file = tmp_path / "path.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.npy", member((10**6,), body=bytes(8 * 10**6)))
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(InvalidInputError, match="claim to unpack to 8000"):
        read_npz(file, "path must be small")


def test_members_must_be_arrays_with_names_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "path.npz"
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("t.npy", member((1,), body=bytes(8)))
    with pytest.raises(InvalidInputError, match="twice"):
        Trajectory.load(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../t.txt", "text")
    with pytest.raises(InvalidInputError, match="no array"):
        Trajectory.load(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it for reading would wait for ever
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InvalidInputError, match="path must be"):
            Trajectory.load(path)
    with pytest.raises(InvalidInputError, match="existing file"):
        Trajectory.load(tmp_path / "none")
    for value in (3, None, b"x", ["a"]):
        with pytest.raises(InvalidInputError, match="path must be a path"):
            Trajectory.load(value)  # type: ignore[arg-type]


def test_the_digest_tells_another_system(tmp_path: Path) -> None:
    file = tmp_path / "path.npz"
    PATH.save(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Trajectory.load(file, SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, -0.3])))
    assert again.digest == PATH.digest
    assert again.version == PATH.version is not None
    other = SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, np.nextafter(-0.3, 0)]))
    with pytest.warns(OtherInputWarning, match="not computed from this system"):
        Trajectory.load(file, other)
    assert PATH.agrees_with(other) is False
    assert Trajectory.load(file).agrees_with(None) is None


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_file_replaces_the_old_one_whole_with_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with replacing(target) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~_umask()
    target.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    with replacing(link) as temporary:
        temporary.write_text("newer")
    assert link.is_symlink()
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("newer", 0o640)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "link.txt"]
    with replacing("/dev/null") as temporary:
        temporary.write_text("gone")
    assert not Path("/dev/null").is_file()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_a_failed_write_leaves_the_old_file_and_no_litter(failure: BaseException, tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of it")
            raise failure

    with pytest.raises(type(failure)) as caught:
        write()
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass
    with (
        pytest.raises(FileNotFoundError, match="missing/b.txt"),
        replacing(tmp_path / "missing" / "b.txt") as new,
    ):
        new.write_text("x")


def _writers() -> dict[str, Callable[[Path], Any]]:
    import matplotlib as mpl

    mpl.use("Agg")
    from discretizers import SignGD, run, verify
    from filippov.command import main
    from filippov.drawing.animation import animate
    from filippov.drawing.report import write_report

    return {
        "path.npz": PATH.save,
        "page.html": lambda file: write_report(PATH, file, FLOW),
        "film.gif": lambda file: animate(PATH, FLOW, frames=2, path=file),
        "film.html": lambda file: animate(PATH, FLOW, frames=2, path=file),
        "run.npz": run(SignGD(0.1), FLOW.objective, [1.0, -2.0], 5).save,
        "table.json": verify(SignGD, FLOW, [1.0, -2.0], (0, 1), [0.1, 0.05]).to_json,
        "trajectory.npz": lambda file: main(
            ["simulate", "x**2 + y**2", "--x0", "1,2", "--t", "3", "--out", str(file.parent)]
        ),
        "portrait.png": lambda file: main(
            ["portrait", "x**2 + y**2", "--starts", "1", "--out", str(file.parent)]
        ),
        "verify.json": lambda file: main(
            ["verify", "x**2 + y**2", "--schemes", "sign", "--x0", "1,2", "--out", str(file.parent)]
        ),
    }


@pytest.mark.parametrize("name", list(_writers()))
def test_every_writer_keeps_the_old_file_when_the_disk_is_full(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("filippov.storing.whole_files.os.fsync", full)
    with pytest.raises((OSError, SystemExit)) as caught:
        _writers()[name](file)
    said = capsys.readouterr().err if isinstance(caught.value, SystemExit) else str(caught.value)
    assert "No space left on device" in said
    assert name in said
    assert "Traceback" not in said
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


FILE_LIMIT = """
import resource, sys
from filippov import solve
from flows import Quadratic, SignFlow
path = solve(SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]])), (0, 6), [1.0, -2.0])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    path.save(sys.argv[1])
except OSError as error:
    print(type(error).__name__, error)
"""


def test_a_limit_of_the_system_in_the_middle_of_a_write(tmp_path: Path) -> None:
    file = tmp_path / "path.npz"
    PATH.save(file)
    before = file.read_bytes()
    assert len(before) > 1000
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, file], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert str(file) in done.stdout
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


WRITE_OFTEN = """
import sys
import numpy as np
from filippov.storing.npz import write_npz
for _ in range(40):
    write_npz(sys.argv[1], {"a": np.full(int(sys.argv[2]), float(sys.argv[2]))})
"""


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "both.npz"
    write_npz(file, {"a": np.zeros(0)})
    sizes = ("5000", "9000")
    writers = [subprocess.Popen([sys.executable, "-c", WRITE_OFTEN, file, size]) for size in sizes]
    while any(writer.poll() is None for writer in writers):
        found = read_npz(file, "whole")["a"]  # at any moment
        assert np.all(found == found.size)
    assert [writer.wait() for writer in writers] == [0, 0]
    final = read_npz(file, "whole")["a"]
    assert final.size in (5000, 9000)
    assert np.all(final == final.size)
    assert list(tmp_path.iterdir()) == [file]


def test_objects_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="must hold numbers or text"):
        write_npz(tmp_path / "a.npz", {"a": np.array([None])})
    assert not list(tmp_path.iterdir())
