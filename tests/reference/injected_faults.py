"""Trajectories with one thing wrong, in memory and in files, and random flows to make them from: what no proof may accept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from filippov import Switch, Trajectory
from filippov.arguments import Matrix, Vector
from filippov.pieces import LinearPiece, Segment
from filippov.switching import KINDS, Mode
from flows import L1, LInf, NormFlow, Quadratic, Weighted

__all__ = [
    "SIZE",
    "Arrays",
    "Fault",
    "changed_switch",
    "faults",
    "file_faults",
    "line_of",
    "random_flow",
    "rebuilt",
    "spectrum",
    "with_switch",
    "wrong_piece",
]

SIZE = 1e-6
"""How much a number is falsified."""


# --- flows ---


def spectrum(kind: str, n: int, rng: np.random.Generator) -> Matrix:
    """A random symmetric matrix of a kind."""
    if kind == "sparse":  # the least eigenvalue is at least 1/2
        A = np.triu(rng.integers(-1, 2, (n, n)) * (rng.random((n, n)) < 2.0 / n), 1).astype(float)
        return A + A.T + np.diag(0.5 + np.sum(np.abs(A + A.T), axis=0))
    if kind == "integer":
        A = rng.integers(-3, 4, (n, n)).astype(float)
        return A @ A.T
    values = {
        "definite": np.logspace(0, 2, n),
        "nearly singular": np.logspace(-7, 0, n),
        "singular": np.concatenate([np.ones((n + 1) // 2), np.zeros(n // 2)]),
        "indefinite": rng.standard_normal(n),
    }[kind]
    U, _ = np.linalg.qr(rng.standard_normal((n, n)))
    Q = (U * values) @ U.T
    return (Q + Q.T) / 2


def random_flow(kind: str, seed: int) -> tuple[NormFlow, Vector]:
    """A flow in l_inf (even seeds) or l1, every third with weights, and a start; sparse ones without weights, kept in a ledger."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 8))
    Q = spectrum(kind, n, rng)
    b, x0 = Q @ rng.integers(-3, 4, n), 3.0 * rng.standard_normal(n)
    if kind == "sparse":
        return NormFlow(Quadratic(csr_array(Q), b), LInf() if seed % 2 == 0 else L1()), x0
    norm: Any = LInf() if seed % 2 == 0 else L1()
    return NormFlow(Quadratic(Q, b), Weighted(norm, rng.uniform(0.3, 2.0, n)) if seed % 3 == 0 else norm), x0


# --- in memory ---


def rebuilt(path: Trajectory, segments: Any, switches: Any = None, **change: Any) -> Trajectory:
    return Trajectory(
        segments=segments,
        switches=path.switches if switches is None else switches,
        start=change.get("start", path.start),
        status=path.status,
        options=path.options,
        system=path.system,
    )


def line_of(piece: Any, **change: Any) -> LinearPiece:
    """A straight piece, with numbers added to what it records."""
    t0 = np.array([piece.t0])
    x, v = piece.state(t0)[:, 0].copy(), piece.velocity(t0)[:, 0].copy()
    return LinearPiece(
        piece.t0 + change.get("t0", 0.0),
        piece.t1 + change.get("t1", 0.0),
        x + change.get("x0", 0.0),
        v + change.get("v", 0.0),
    )


def wrong_piece(path: Trajectory, k: int, **change: Any) -> Trajectory:
    segments = list(path.segments)
    first, *rest = segments[k].pieces
    segments[k] = Segment(segments[k].mode, (line_of(first, **change), *rest))
    return rebuilt(path, segments)


def wrong_mode(path: Trajectory, k: int, mode: Mode) -> Trajectory:
    segments = list(path.segments)
    segments[k] = Segment(mode, segments[k].pieces)
    return rebuilt(path, segments)


def with_switch(path: Trajectory, k: int, *others: Switch) -> Trajectory:
    return rebuilt(path, path.segments, [*path.switches[:k], *others, *path.switches[k + 1 :]])


@dataclass(frozen=True)
class Fault:
    """A trajectory with something wrong, or one that is held against another flow."""

    name: str
    path: Trajectory
    system: NormFlow | None = None


def faults(path: Trajectory, most: int, rng: np.random.Generator) -> Iterator[Fault]:
    """Everything that can be done to at most so many of the switches, segments and joints of a record, drawn at random."""
    n, count = path.dim, len(path.segments)
    unit = np.eye(n)

    def drawn(number: int) -> list[int]:
        return sorted(rng.permutation(number)[:most].tolist())

    for k in drawn(len(path.switches)):
        s = path.switches[k]
        yield Fault("switch removed", with_switch(path, k))
        yield Fault("switch twice", with_switch(path, k, s, s))
        for sign in (SIZE, -SIZE):
            yield Fault("switch time", with_switch(path, k, changed_switch(s, t=s.t + sign)))
            yield Fault("switch state", with_switch(path, k, changed_switch(s, x=s.x + sign * unit[k % n])))
        yield from (
            Fault(f"kind {s.kind} to {kind}", with_switch(path, k, changed_switch(s, kind=kind)))
            for kind in KINDS
            if kind != s.kind
        )
        yield Fault("codimension", with_switch(path, k, changed_switch(s, codimension=s.codimension + 1)))
        yield Fault(
            "surfaces",
            with_switch(path, k, changed_switch(s, surfaces=s.surfaces[1:] if s.surfaces else (0,))),
        )
    for k in drawn(count):
        for sign in (SIZE, -SIZE):
            yield Fault("velocity", wrong_piece(path, k, v=sign * unit[k % n]))
            yield Fault("velocity", wrong_piece(path, k, v=sign * unit[(k + 1) % n]))
            yield Fault("state", wrong_piece(path, k, x0=sign * unit[k % n]))
            yield Fault("state", wrong_piece(path, k, x0=sign))
            yield Fault("begin", wrong_piece(path, k, t0=sign))
            yield Fault("end", wrong_piece(path, k, t1=sign))
        mode = path.segments[k].mode
        for i in drawn(n):
            sides = np.array(mode.sides)
            for side in {-1, 0, 1} - {int(sides[i])}:
                sides[i] = side
                yield Fault("side", wrong_mode(path, k, Mode(sides, mode.codimension, mode.resting)))
                yield Fault("side and codimension", wrong_mode(path, k, Mode(sides, None, mode.resting)))
        yield Fault("rest", wrong_mode(path, k, Mode(mode.sides, mode.codimension, not mode.resting)))
        yield Fault(
            "mode's codimension", wrong_mode(path, k, Mode(mode.sides, mode.codimension + 1, mode.resting))
        )
        rest = [*path.segments[:k], *path.segments[k + 1 :]]
        yield Fault("segment removed", rebuilt(path, rest))
        ends = (path.segments[k].t0, path.segments[k].t1)
        for t in ends:
            switches = [s for s in path.switches if s.t != t]
            yield Fault("segment and switch removed", rebuilt(path, rest, switches))
    for k in drawn(count - 1):
        yield Fault("order", rebuilt(path, reordered(path.segments, k)))
        yield from (Fault("joint", joint_moved(path, k, sign)) for sign in (SIZE, -SIZE))
        longer = Segment(
            path.segments[k].mode, (line_of(path.segments[k].pieces[0], t1=path.segments[k + 1].duration),)
        )
        switches = [s for s in path.switches if s.t != path.segments[k + 1].t0]
        yield Fault(
            "run through", rebuilt(path, [*path.segments[:k], longer, *path.segments[k + 2 :]], switches)
        )
    for sign in (SIZE, -SIZE):
        yield Fault(
            "start state", rebuilt(path, path.segments, start=(path.start[0], path.start[1] + sign * unit[0]))
        )
        yield Fault("start time", rebuilt(path, path.segments, start=(path.start[0] + sign, path.start[1])))
        yield from foreign(path, sign)


def changed_switch(s: Switch, **change: Any) -> Switch:
    fields = {name: getattr(s, name) for name in ("t", "x", "kind", "surfaces", "codimension")}
    return Switch(**{**fields, **change})


def reordered(segments: list[Segment], k: int) -> list[Segment]:
    return [*segments[:k], segments[k + 1], segments[k], *segments[k + 2 :]]


def joint_moved(path: Trajectory, k: int, by: float) -> Trajectory:
    """A switch consistently recorded too early or too late: both pieces and the switch have the wrong time."""
    segments = list(path.segments)
    before, after = segments[k], segments[k + 1]
    t = after.t0 + by
    last, first = line_of(before.pieces[-1]), line_of(after.pieces[0])
    last.t1 = first.t0 = t
    segments[k] = Segment(before.mode, (*before.pieces[:-1], last))
    segments[k + 1] = Segment(after.mode, (first, *after.pieces[1:]))
    switches = [changed_switch(s, t=t) if s.t == after.t0 else s for s in path.switches]
    return rebuilt(path, segments, switches)


def foreign(path: Trajectory, by: float) -> Iterator[Fault]:
    """Hold the path against flows with one number changed, each of which has another solution."""
    flow = path.system
    assert isinstance(flow, NormFlow)
    assert isinstance(flow.objective, Quadratic)
    Q, b, n = flow.objective.Q, flow.objective.b, path.dim
    if issparse(Q):
        Q = Q.toarray()
    unit = np.eye(n)
    for i in range(n):
        yield Fault("b", path, NormFlow(Quadratic(Q, b + by * unit[i]), flow.norm))
    largest = int(np.argmax(np.abs(path.y[:, -1])))
    yield Fault("Q", path, NormFlow(Quadratic(Q + by * np.outer(unit[largest], unit[largest]), b), flow.norm))
    base = getattr(flow.norm, "norm", flow.norm)
    w = getattr(flow.norm, "w", np.ones(n))
    moved = np.flatnonzero([any(np.any(s.velocity(s.t0)[i]) for s in path.segments) for i in range(n)])
    for i in moved:
        yield Fault("weights", path, NormFlow(flow.objective, Weighted(base, w + by * unit[i])))
    other = L1() if isinstance(base, LInf) else LInf()
    yield Fault("norm", path, NormFlow(flow.objective, Weighted(other, w)))


# --- in files ---

Arrays = dict[str, Any]


def file_faults(arrays: Arrays, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
    """Yield files with one thing wrong, at a switch or piece drawn at random."""
    in_ledger = "ledger_x" in arrays
    switches, pieces, n = arrays["switch_t"].size, len(arrays["piece_span"]), arrays["start_x"].size
    s, p, i = int(rng.integers(switches)), int(rng.integers(pieces)), int(rng.integers(n))
    joint = int(rng.integers(pieces - 1))
    ends = np.cumsum(arrays["switch_surface_counts"])
    listed = np.split(arrays["switch_surfaces"], ends[:-1])
    kept = [k for k in range(switches) if k != s]
    columns = ["switch_t", "switch_kind", "switch_codimension", "switch_surface_counts"]
    columns += ["switch_number" if in_ledger else "switch_x"]
    fewer = {name: arrays[name][kept] for name in columns}
    fewer["switch_surfaces"] = np.concatenate([np.empty(0, np.int32), *(listed[k] for k in kept)])
    yield "switch removed", {**arrays, **fewer}
    for by in (SIZE, -SIZE):
        yield "begin or end", bumped(arrays, "piece_span", (p, int(rng.integers(2))), by)
        yield "switch time", bumped(arrays, "switch_t", s, by)
        yield "start state", bumped(arrays, "start_x", i, by)
        spans, times = np.array(arrays["piece_span"]), np.array(arrays["switch_t"])
        times[times == spans[joint, 1]] += by
        spans[joint, 1] += by
        spans[joint + 1, 0] += by
        yield "joint", {**arrays, "piece_span": spans, "switch_t": times}
        yield "end", bumped(arrays, "piece_span", (-1, 1), by)
    kinds = (arrays["switch_kind"] + (np.arange(switches) == s)) % len(KINDS)
    yield "kind", {**arrays, "switch_kind": kinds}
    yield "codimension", bumped(arrays, "switch_codimension", s, 1)
    without = np.arange(pieces) != p
    rows = ["piece_span", "mode_resting"]
    rows += (
        ["piece_number", "mode_number"]
        if in_ledger
        else ["piece_length", "piece_states", "piece_velocities", "mode_sides", "mode_codimension"]
    )
    rest = {name: arrays[name][without] for name in rows}
    yield "segment removed", {**arrays, **rest, "piece_segment": np.arange(pieces - 1, dtype=np.int32)}
    header = json.loads(str(arrays["header"]))
    yield "failed run", {**arrays, "header": np.array(json.dumps({**header, "status": -1}))}
    order = np.arange(pieces)
    order[[joint, joint + 1]] = order[[joint + 1, joint]]
    if in_ledger:
        yield "order", {**arrays, "piece_number": arrays["piece_number"][order]}
        yield from ledger_faults(arrays, rng)
        return
    names = ("piece_states", "piece_velocities")
    yield "order", {**arrays, **{name: arrays[name][order] for name in names}}
    for by in (SIZE, -SIZE):
        yield "velocity", bumped(arrays, "piece_velocities", (p, i), by)
        yield "state", bumped(arrays, "piece_states", (p, i), by)
        yield "switch state", bumped(arrays, "switch_x", (s, i), by)
    sides = np.array(arrays["mode_sides"])
    sides[p, i] = 1 if sides[p, i] != 1 else -1
    yield "side", {**arrays, "mode_sides": sides}


def ledger_faults(arrays: Arrays, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
    """Yield files with one number of a ledger changed: as it is kept, most pieces depend on each of them."""
    for name in sorted(name for name in arrays if name.startswith("ledger_") and arrays[name].size):
        # Whatever clock runs on the last line, nothing moves there: its time and pace are read by no piece.
        idle = name in ("ledger_t", "ledger_lapse")
        at = int(rng.integers(arrays[name].size - idle))
        if name in ("ledger_side", "ledger_sides"):
            yield "ledger: side", bumped(arrays, name, at, -1 if arrays[name][at] == 1 else 1)
        elif arrays[name].dtype.kind == "f":
            yield from (("ledger: number", bumped(arrays, name, at, by)) for by in (SIZE, -SIZE))
        elif name.endswith("_count"):
            others = np.roll(arrays[name], 1)
            if np.any(others != arrays[name]):
                yield "ledger: count", {**arrays, name: others}
        else:
            yield "ledger: index", bumped(arrays, name, at, 1)
    for name in ("piece_number", "mode_number"):
        at = int(rng.integers(arrays[name].size))
        yield from (("ledger: line of a piece", bumped(arrays, name, at, by)) for by in (1, -1))


def bumped(arrays: Arrays, name: str, at: Any, by: float) -> Arrays:
    """Return the arrays with one number changed."""
    array = np.array(arrays[name])
    array[at] += by
    return {**arrays, name: array}
