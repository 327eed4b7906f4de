"""What a run of a scheme leaves behind."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import InvalidInputError
from filippov.storing.npz import read_npz, write_npz

__all__ = ["Iterates"]

STATE_HISTORY = ("f", "gap", "squared_distance")
STEP_HISTORY = ("step", "active", "active_smoothness", "flips", "freezes", "two_hits", "restarts")


@dataclass(frozen=True, eq=False, repr=False)
class Iterates:
    """The points x_0, ..., x_N of a scheme and what was seen on the way.

    Attributes
    ----------
    t : ndarray of shape (N + 1,)
        Time, the running sum of the steps: x_k stands for x(t_k) of the flow.
    y : ndarray of shape (n, N + 1)
        The points, one a column.
    f : ndarray of shape (N + 1,)
        Values of the objective.
    gap : ndarray of shape (N + 1,)
        f(x_k) - f*; nan where the run was not told the minimiser.
    squared_distance : ndarray of shape (N + 1,)
        ||x_k - x*||_2^2; nan where the run was not told the minimiser.
    step : ndarray of shape (N,)
        Step sizes h_k, from x_k to x_{k+1}.
    active : ndarray of int, shape (N,)
        |S|, the nonzero components (beyond the run's `active_tol`) of the gradient that decided step k (for
        a scheme with momentum, at its extrapolated point).
    active_smoothness : ndarray of shape (N,)
        L_S, the sum of L_i over S (section 5); nan where no L_i are known.
    flips : ndarray of int, shape (N,)
        Components whose gradient changed sign from x_k to x_{k+1}: product of the signs -1, so zeros do not
        flip.
    freezes, two_hits : ndarray of int, shape (N,)
        Components undone by a one-hit freeze, and components moved by a two-hit sliding-track.
    restarts : ndarray of bool, shape (N,)
        Steps in which momentum was thrown away.
    status : int
        0 all steps made, 1 the tolerance was reached, 2 the callback stopped the run, 3 interrupted, -1
        failed.
    message : str
        The status in words.
    scheme : str
        The scheme, as it prints.
    settings : dict
        The scheme and its step rule as plain values, as `Scheme.settings` gives them.
    """

    t: Vector
    y: Matrix
    f: Vector
    gap: Vector
    squared_distance: Vector
    step: Vector
    active: NDArray[np.int64]
    active_smoothness: Vector
    flips: NDArray[np.int64]
    freezes: NDArray[np.int64]
    two_hits: NDArray[np.int64]
    restarts: NDArray[np.bool_]
    status: int
    message: str
    scheme: str
    settings: dict[str, Any]

    def __post_init__(self) -> None:
        count = self.t.size
        shapes = dict.fromkeys(STATE_HISTORY, count) | dict.fromkeys(STEP_HISTORY, count - 1)
        for name, size in shapes.items():
            if getattr(self, name).dtype.kind not in "biuf":
                raise InvalidInputError(f"{name} must hold numbers, got {getattr(self, name).dtype}")
            if getattr(self, name).shape != (size,):
                raise InvalidInputError(f"{name} must have shape ({size},), got {getattr(self, name).shape}")
        if self.y.ndim != 2 or self.y.shape[1] != count:
            raise InvalidInputError(f"y must have shape (n, {count}), got {self.y.shape}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def success(self) -> bool:
        """Whether the run ended as asked: status 0, 1 or 2."""
        return self.status in (0, 1, 2)

    def __repr__(self) -> str:
        counts = [f"{int(self.flips.sum())} flips"]
        counts += [
            f"{int(getattr(self, name).sum())} {name.replace('_', '-')}"
            for name in ("freezes", "two_hits", "restarts")
            if np.any(getattr(self, name))
        ]
        return (
            f"Iterates({self.scheme}: {self.step.size} steps in {self.y.shape[0]}-D to t = {self.t[-1]:.6g}, "
            f"f = {self.f[0]:.6g} -> {self.f[-1]:.6g}; {', '.join(counts)}; "
            f"status {self.status}: {self.message})"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a .npz file (no pickle) and return its path; the file is complete or not there at all."""
        target = Path(path)
        if target.suffix != ".npz":
            target = target.with_name(target.name + ".npz")
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)[:-1]}
        arrays["settings"] = np.array(json.dumps(self.settings))
        write_npz(target, arrays)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Iterates:
        """Read what `save` wrote."""
        values: dict[str, Any] = dict(read_npz(path, "path must hold saved Iterates"))
        missing = [field.name for field in fields(cls) if field.name not in values]
        if missing:
            raise InvalidInputError(f"path must hold saved Iterates, but {path} lacks {', '.join(missing)}")
        try:
            values["status"] = int(values["status"])
            values["message"], values["scheme"] = str(values["message"]), str(values["scheme"])
            values["settings"] = json.loads(str(values["settings"]))
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidInputError(f"path must hold saved Iterates, got {path}: {error}") from None
