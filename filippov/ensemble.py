"""Many starts, or many systems, on any executor: in order, resumable, failures recorded and never fatal."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_span, check_size
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.solve import solve
from filippov.storing.fingerprint import fingerprint
from filippov.storing.npz import read_npz, write_npz
from filippov.storing.packed_paths import Packed, PackedPaths
from filippov.storing.storage import pack_trajectory, unpack_trajectory
from filippov.storing.whole_files import replacing
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["Ensemble", "Failure", "ensemble"]

CHUNK = 32
"""Starts a task, at most: enough that sending the system costs little, few enough that a kill loses little."""

TASKS = 32
"""Tasks that there are at least, given so many starts: all cores work, and a few long runs are not lost together."""

RESTARTS = 3
"""How often a broken process pool of our own is started anew for what is missing."""


@dataclass(frozen=True)
class Failure:
    """A start whose run failed.

    Attributes
    ----------
    index : int
    error : str
        Name of the exception.
    message : str
    """

    index: int
    error: str
    message: str


@dataclass(frozen=True)
class _Solved:
    """A chunk as it comes from where it was solved.

    Attributes
    ----------
    parcel : bytes
        Its pickled list of `Packed`, for `PackedPaths`.
    failures : tuple of Failure
    """

    parcel: bytes
    failures: tuple[Failure, ...]

    @classmethod
    def of(cls, packed: list[Packed]) -> _Solved:
        """Return a chunk of starts as they stand in its file."""
        failures = []
        for arrays in packed:
            if "failure" in arrays:
                index, error, message = json.loads(str(arrays["failure"]))
                failures.append(Failure(int(index), str(error), str(message)))
            elif "header" not in arrays:
                raise InvalidInputError("neither a trajectory nor a failure")
        return cls(pickle.dumps(packed), tuple(failures))


class Ensemble(Sequence["Trajectory | None"]):
    """Trajectories in the order of their starts.

    Indexing gives the trajectory of a start: whole, or the part computed where it failed, or None where there is none.

    Attributes
    ----------
    starts : (k, n) array
    trajectories : sequence of Trajectory or None
        Each is unpacked at the first look at it.
    failures : list of Failure
        In the order of the starts.
    """

    def __init__(
        self, starts: Matrix, trajectories: Sequence[Trajectory | None], failures: list[Failure]
    ) -> None:
        self.starts, self.trajectories, self.failures = starts, trajectories, failures

    def __len__(self) -> int:
        return len(self.trajectories)

    def __getitem__(self, index: Any) -> Any:
        return self.trajectories[index]

    def __iter__(self) -> Iterator[Trajectory | None]:
        return iter(self.trajectories)

    @property
    def arrival_times(self) -> Vector:
        """Arrival time of each start, nan where there is none, (k,)."""
        times = [np.nan if path is None or path.arrival_time is None else path.arrival_time for path in self]
        return np.array(times)

    @property
    def ends(self) -> Matrix:
        """Last state of each start, nan where nothing was computed, (k, n)."""
        blank = np.full(self.starts.shape[1], np.nan)
        return np.array([blank if path is None else path.sol(path.t_end) for path in self])

    def plot(self, ax: Any = None) -> Any:
        """Draw the arrival times over the plane of two-dimensional starts; return the axes."""
        from filippov.drawing.plotting import plot_ensemble

        return plot_ensemble(self, ax)

    def __repr__(self) -> str:
        arrived = int(np.sum(np.isfinite(self.arrival_times)))
        return f"Ensemble({len(self)} starts, {arrived} arrived, {len(self.failures)} failed)"


def ensemble(
    system: System | Sequence[System],
    t_span: tuple[float, float],
    starts: ArrayLike,
    *,
    executor: Executor | None = None,
    folder: str | PathLike[str] | None = None,
    progress: bool = False,
    **solve_options: Any,
) -> Ensemble:
    """Solve from many starts, or many systems from one start each.

    Parameters
    ----------
    system : System or sequence of k Systems
        One system for all starts, or one for each (a parameter sweep).
    t_span : (float, float)
    starts : (k, n) array_like
    executor : concurrent.futures.Executor, optional
        Where to run: a process or thread pool, dask's ``Client.get_executor()``, mpi4py's ``MPIPoolExecutor``. Default: a
        process pool on all cores; the systems must then be picklable (no lambdas): pass a ThreadPoolExecutor otherwise.
    folder : path, optional
        Checkpoints: a file for each chunk of starts. Called again with the same folder and the same problem, only what is
        missing is computed; another problem is refused.
    progress : bool
        Show a progress bar.
    **solve_options
        Passed to `solve`.

    Returns
    -------
    Ensemble

    Raises
    ------
    InvalidInputError
        If an argument does not fit, or `folder` holds another problem. A failing start is recorded, not raised.
    """
    points = as_matrix("starts", starts)
    span = as_span("t_span", t_span)
    systems = [system] * len(points) if isinstance(system, System) else list(system)
    if len(systems) != len(points):
        raise InvalidInputError(
            f"system must be one System or {len(points)}, one for each start, got {len(systems)}"
        )
    if not all(isinstance(one, System) for one in systems):
        raise InvalidTypeError("system must hold filippov Systems only")
    for one in {id(one): one for one in systems}.values():
        if one.dim not in (0, points.shape[1]):
            raise InvalidInputError(
                f"starts must have {one.dim} columns, one for each state, got {points.shape[1]}"
            )
    check_size("starts", points)
    size = max(1, min(CHUNK, len(points) // TASKS))
    chunks = [range(low, min(low + size, len(points))) for low in range(0, len(points), size)]
    store = None
    done: dict[int, _Solved] = {}
    if folder is not None:
        store = _Folder(Path(folder), fingerprint(systems, span, points, solve_options))
        for k, chunk in enumerate(chunks):
            if (found := store.read(k, [systems[i] for i in chunk])) is not None:
                done[k] = found

    def jobs() -> dict[int, tuple[Any, ...]]:
        same = isinstance(system, System)
        return {
            k: (
                [system] if same else [systems[i] for i in chunk],
                span,
                points[chunk],
                list(chunk),
                solve_options,
            )
            for k, chunk in enumerate(chunks)
            if k not in done
        }

    def keep(k: int, solved: _Solved) -> None:
        done[k] = solved
        if store is not None:
            store.write(k, pickle.loads(solved.parcel))

    if executor is None:
        _check_picklable(system, solve_options)
    try:
        _run(jobs, keep, executor, progress=progress)
    except (KeyboardInterrupt, FilippovError) as error:
        error.ensemble = _collect(points, systems, chunks, done)  # type: ignore[union-attr]
        raise
    return _collect(points, systems, chunks, done)


def _run(jobs: Any, keep: Any, executor: Executor | None, *, progress: bool) -> None:
    """Run the jobs that are left; a broken pool of our own is replaced, a broken foreign one is an error."""
    with ExitStack() as stack:
        bar = None
        if progress:
            from tqdm import tqdm

            bar = stack.enter_context(tqdm(total=sum(len(job[3]) for job in jobs().values()), unit="start"))
        for attempt in range(RESTARTS + 1):
            left = jobs()
            if not left:
                return
            own = _Pool() if executor is None else None
            futures: dict[Future[_Solved], int] = {}
            try:
                pool = executor if own is None else own.executor
                assert pool is not None
                futures = {pool.submit(_solve_chunk, *job): k for k, job in left.items()}
                for future in as_completed(futures):
                    keep(futures[future], future.result())
                    k = futures.pop(future)  # only now: an interrupt may fall into the write
                    if bar is not None:
                        bar.update(len(left[k][3]))
            except BrokenExecutor as error:
                if own is None or attempt == RESTARTS:
                    raise FilippovError(
                        f"the executor broke down with {len(jobs())} chunks left: {error}"
                    ) from error
            finally:
                for future in futures:
                    future.cancel()
                if own is not None:
                    own.stop()
                for future, k in futures.items():
                    # What was done but not yet taken when something went wrong is kept too.
                    if future.done() and not future.cancelled() and future.exception() is None:
                        keep(k, future.result())


class _Pool:
    """Our own processes, which finish the start they are at and stop when we are interrupted."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context()
        self._stopping = self._context.Event()
        self.executor = ProcessPoolExecutor(
            mp_context=self._context, initializer=_begin_worker, initargs=(self._stopping,)
        )

    def stop(self) -> None:
        """Leave what has not begun and wait for what has."""
        self._stopping.set()
        self.executor.shutdown(cancel_futures=True)


_stopping: Any = None
"""In a worker process: the event that says that its results are no longer waited for."""


def _begin_worker(stopping: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that started this."""
    global _stopping
    _stopping = stopping
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _StoppedError(Exception):
    """A worker was asked to stop within a chunk."""


def _solve_chunk(
    systems: list[System],
    span: tuple[float, float],
    points: Matrix,
    indices: list[int],
    options: dict[str, Any],
) -> _Solved:
    """Solve a chunk of starts where the executor runs it; return arrays, which any executor can carry."""
    packed: list[Packed] = []
    for position, (index, point) in enumerate(zip(indices, points, strict=True)):
        if _stopping is not None and _stopping.is_set():
            raise _StoppedError
        system = systems[0] if len(systems) == 1 else systems[position]
        try:
            packed.append(pack_trajectory(solve(system, span, point, **options)))
        except FilippovError as error:
            part = error.trajectory
            arrays = {} if part is None else pack_trajectory(part)
            arrays["failure"] = np.array(json.dumps([index, type(error).__name__, str(error)]))
            packed.append(arrays)
    return _Solved.of(packed)


def _collect(
    points: Matrix, systems: list[System], chunks: list[range], done: dict[int, _Solved]
) -> Ensemble:
    """Put results in order; a start that was not come to has no trajectory and no failure."""
    in_order = sorted(done.items())
    paths = PackedPaths(systems, {chunks[k]: solved.parcel for k, solved in in_order})
    return Ensemble(points, paths, [failure for _, solved in in_order for failure in solved.failures])


def _check_picklable(system: Any, options: dict[str, Any]) -> None:
    try:
        pickle.dumps((system, options))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidInputError(
            f"system must be picklable for a process pool ({error}): define its functions at the top of a module, or pass "
            "executor=ThreadPoolExecutor()"
        ) from None


class _Folder:
    """Checkpoints of one problem."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        record = path / "ensemble.json"
        if record.exists():
            try:
                known = json.loads(record.read_text(encoding="utf-8"))["digest"]
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise InvalidInputError(f"folder {path} holds no readable ensemble.json: {error}") from None
            if known != digest:
                raise InvalidInputError(f"folder {path} holds the checkpoints of another problem")
        else:
            with replacing(record) as temporary:
                temporary.write_text(json.dumps({"digest": digest}), encoding="utf-8")

    def _file(self, k: int) -> Path:
        return self.path / f"chunk-{k:06d}.npz"

    def write(self, k: int, packed: list[Packed]) -> None:
        write_npz(
            self._file(k), {f"{i}/{name}": a for i, arrays in enumerate(packed) for name, a in arrays.items()}
        )

    def read(self, k: int, systems: list[System]) -> _Solved | None:
        """Return a chunk of as many starts as there are systems, or None where it has to be computed (again)."""
        try:
            stored = read_npz(self._file(k), "folder must hold chunks")
            packed: list[Packed] = [{} for _ in systems]
            for key, array in stored.items():
                index, name = key.split("/", 1)
                packed[int(index)][name] = array
            solved = _Solved.of(packed)
            for arrays, system in zip(packed, systems, strict=True):
                if "header" in arrays:
                    unpack_trajectory(arrays, system)
        except (ValueError, IndexError, TypeError, RecursionError):
            return None  # missing, cut off by a kill, or of another version: compute it again
        return solved
