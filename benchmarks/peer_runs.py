"""How each solver is run on a `RelayProblem`, and how its settings are tightened until the error asked for is reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from relay_problems import REPORTS, AffineRelay, RelayProblem
from scipy.integrate import solve_ivp

__all__ = ["Limits", "Outcome", "nosnoc", "ours", "raw", "regularised", "siconos", "siconos_python"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Limits:
    """What a solver may spend on one setting, for all starts together."""

    seconds: float
    evaluations: int
    repeats: int


@dataclass(frozen=True)
class Outcome:
    """One solver with one setting on one problem.

    Attributes
    ----------
    solver, setting : str
    seconds : float
        A start, median over the repeats.
    error : float
        Largest over the starts, the report times and the components; nan where the end was not reached.
    work, events : str
    failure : str
        Why there is no error, else empty.
    """

    solver: str
    setting: str
    seconds: float = np.nan
    error: float = np.nan
    work: str = ""
    events: str = "none"
    failure: str = ""


class _Exhausted(Exception):
    """A limit on evaluations or time was reached."""


def timed(run: Callable[[], object], repeats: int) -> float:
    """Return the median wall time in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def tightened(
    settings: Iterable[str], attempt: Callable[[str], Outcome], target: float, again: Callable[[str], float]
) -> Outcome:
    """Return the outcome of the first setting that reaches the target; the most accurate one if none does.

    `again` gives the time that counts, from repeats of the setting that was taken.
    """
    best: Outcome | None = None
    for setting in settings:
        outcome = attempt(setting)
        if best is None or outcome.error < best.error or np.isnan(best.error):
            best = outcome
        if outcome.failure or outcome.error <= target:
            break
    assert best is not None
    return best if best.failure else replace(best, seconds=again(best.setting))


# -- this project -----------------------------------------------------------------------------------------------------


def ours(problem: RelayProblem, limits: Limits) -> list[Outcome]:
    """Return the outcome of each way that this project solves the problem, dense output at the report times included."""
    found = []
    for label, run in problem.ours.items():
        paths = [run(start) for start in problem.starts]
        error = max(_error(problem, k, np.asarray(path.sol(problem.times)).T) for k, path in enumerate(paths))
        if problem.own_error is not None:
            error = problem.own_error()

        def all_starts(run: Callable = run) -> None:
            for start in problem.starts:
                run(start).sol(problem.times)

        seconds = timed(all_starts, limits.repeats) / len(paths)
        switches = sum(len(path.switches) for path in paths) / len(paths)
        evaluations = sum(path.nfev for path in paths) / len(paths)
        found.append(
            Outcome("filippov", label, seconds, error, f"{evaluations:g} calls", f"{switches:g} switches")
        )
    return found


def _error(problem: RelayProblem, k: int, states: np.ndarray, times: np.ndarray | None = None) -> float:
    exact = problem.reference(k, problem.times if times is None else times)
    return float(np.max(np.abs(states[:, : exact.shape[1]] - exact)))


# -- solve_ivp --------------------------------------------------------------------------------------------------------


def raw(problem: RelayProblem, method: str, target: float, limits: Limits) -> Outcome:
    """Return solve_ivp on the discontinuous field itself, sign for Sgn."""
    settings = (f"rtol {0.1**k * target:.0e}" for k in range(4))
    return _integrated(f"{method}, raw", problem, method, settings, target, limits)


def regularised(problem: RelayProblem, method: str, target: float, limits: Limits) -> Outcome:
    """Return solve_ivp on the smoothed field, tanh(./eps) for Sgn, with its exact Jacobian where the method takes one."""
    settings = (
        f"eps {0.1**k * target:.0e}, rtol {max(0.1 ** (k + 1) * target, 1e-13):.0e}" for k in range(4)
    )
    return _integrated(f"{method}, tanh", problem, method, settings, target, limits)


def _integrated(
    solver: str,
    problem: RelayProblem,
    method: str,
    settings: Iterator[str],
    target: float,
    limits: Limits,
) -> Outcome:
    def attempt(setting: str) -> Outcome:
        values = dict(part.split() for part in setting.split(", "))
        eps, rtol = (float(values["eps"]) if "eps" in values else None), float(values["rtol"])
        counter = _Counter(problem.relay, eps, limits)
        error = 0.0
        try:
            for k, start in enumerate(problem.starts):
                run = solve_ivp(
                    counter.field,
                    (0.0, problem.t_end),
                    start,
                    method=method,
                    rtol=rtol,
                    atol=rtol,
                    t_eval=problem.times,
                    **({"jac": counter.jacobian} if eps is not None and method != "RK45" else {}),
                )
                if not run.success:
                    return Outcome(solver, setting, failure=f"failed: {run.message}")
                error = max(error, _error(problem, k, run.y.T))
        except _Exhausted as limit:
            return Outcome(solver, setting, failure=f"did not finish: {limit}", work=f"{counter.calls} calls")
        count = len(problem.starts)
        work = f"{counter.calls / count:g} calls" + (
            f" + {counter.slopes / count:g} Jacobians" if counter.slopes else ""
        )
        return Outcome(solver, setting, (time.perf_counter() - counter.began) / count, error, work)

    def again(setting: str) -> float:
        return median(attempt(setting).seconds for _ in range(limits.repeats))

    return tightened(settings, attempt, target, again)


class _Counter:
    """A field that counts its calls and stops the integrator, which knows no such limit, by an exception."""

    def __init__(self, relay: AffineRelay, eps: float | None, limits: Limits) -> None:
        self.relay, self.eps, self.limits = relay, eps, limits
        self.calls = self.slopes = 0
        self.reached = 0.0
        self.began = time.perf_counter()

    def field(self, t: float, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        self.reached = max(self.reached, t)
        if self.calls % 64 == 0:
            self.look()
        values = self.relay.C @ x + self.relay.d
        u = np.sign(values) if self.eps is None else np.tanh(values / self.eps)
        return self.relay.field(t, x, u)

    def jacobian(self, t: float, x: np.ndarray) -> np.ndarray:
        self.slopes += 1
        assert self.eps is not None
        u = np.tanh((self.relay.C @ x + self.relay.d) / self.eps)
        return self.relay.slope((1.0 - u * u) / self.eps)

    def look(self) -> None:
        if self.calls >= self.limits.evaluations:
            raise _Exhausted(f"{self.calls} evaluations bring it to t = {self.reached:.3g}")
        if time.perf_counter() - self.began > self.limits.seconds:
            raise _Exhausted(f"{self.limits.seconds:g} s bring it to t = {self.reached:.3g}")


# -- solvers in processes of their own --------------------------------------------------------------------------------


def _in_process(script: str, interpreter: str, timeout: float, **data: object) -> dict[str, np.ndarray]:
    """Run a script on some arrays and return the arrays that it wrote; the limit on time is the process's."""
    with tempfile.TemporaryDirectory() as folder:
        problem, result = Path(folder) / "problem.npz", Path(folder) / "result.npz"
        np.savez(problem, **data)  # type: ignore[arg-type]
        done = subprocess.run(
            [interpreter, str(HERE / script), str(problem), str(result)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        return dict(np.load(result, allow_pickle=False))


def siconos_python(given: str | None) -> str | None:
    """Return an interpreter that can import Siconos: the one given, this one, or any python3 on the path."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    found = [given] if given else [sys.executable, *(shutil.which("python3", path=f) for f in folders)]
    for interpreter in dict.fromkeys(found):
        if interpreter is None:
            continue
        done = subprocess.run(
            [interpreter, "-c", "import siconos.kernel"], capture_output=True, check=False, timeout=120
        )
        if done.returncode == 0:
            return interpreter
    return None


def siconos(
    problem: RelayProblem, integrator: str, target: float, limits: Limits, interpreter: str
) -> Outcome:
    """Return Siconos's time stepping, its steps made shorter until the error at the report times is reached."""
    name, relay, count = f"Siconos, {integrator}", problem.autonomous, len(problem.starts)

    def call(steps: int, repeats: int) -> dict[str, np.ndarray]:
        return _in_process(
            "siconos_run.py",
            interpreter,
            timeout=60.0 + 3.0 * repeats * limits.seconds,
            **relay.dense(),
            starts=problem.autonomous_starts,
            t_end=problem.t_end,
            steps=steps,
            every=steps // (REPORTS - 1),
            integrator=integrator,
            limit=limits.seconds / count,
            repeats=repeats,
        )

    best = Outcome(name, "")
    steps, most = REPORTS - 1, 10**9
    for _ in range(6):
        setting = f"{steps} steps"
        try:
            found = call(steps, 1)
        except (RuntimeError, subprocess.TimeoutExpired) as problem_met:
            return best if best.setting else replace(best, setting=setting, failure=f"failed: {problem_met}")
        seconds = float(found["seconds"][0]) / count
        if float(found["reached"]) < problem.t_end:
            failure = f"did not finish: {limits.seconds:g} s bring it to t = {float(found['reached']):.3g}"
            return (
                best if best.setting else replace(best, setting=setting, work=f"{steps} steps", failure=failure)
            )
        error = max(_error(problem, k, states) for k, states in enumerate(found["states"]))
        if not best.setting or error < best.error:
            best = Outcome(name, setting, seconds, error, f"{steps} relay problems")
        # The scheme is of first order; half the time allowed is the most that a prediction may ask for.
        wanted = steps * float(np.clip(1.3 * error / target, 2.0, 100.0))
        most = int(0.5 * limits.seconds / (seconds * count) * steps)
        following = min(int(wanted), most) // (REPORTS - 1) * (REPORTS - 1)
        if error <= target or following <= steps:
            break
        steps = following
    chosen = int(best.setting.split()[0])
    times = call(chosen, limits.repeats)["seconds"]
    return replace(best, seconds=median(float(value) for value in times) / count)


def nosnoc(problem: RelayProblem, target: float, limits: Limits) -> Outcome:
    """Return nosnoc's switch-detecting collocation, its steps made shorter; errors are those at its own nodes."""
    count = min(2, len(problem.starts))

    def call(setting: str, repeats: int) -> dict[str, np.ndarray]:
        return _in_process(
            "nosnoc_run.py",
            sys.executable,
            timeout=60.0 + limits.seconds * repeats,
            **problem.autonomous.dense(),
            starts=problem.autonomous_starts[:count],
            t_end=problem.t_end,
            steps=int(setting.split()[0]),
            stages=2,
            tolerance=0.01 * target,
            repeats=repeats,
        )

    def attempt(setting: str) -> Outcome:
        outcome = Outcome("nosnoc, FESD Radau IIA 2", setting)
        try:
            found = call(setting, 1)
        except subprocess.TimeoutExpired as late:
            return replace(outcome, failure=f"did not finish: {late.timeout:g} s, imports and set-up included")
        except RuntimeError as problem_met:
            return replace(outcome, failure=f"failed: {problem_met}")
        error = max(
            _error(problem, k, states, np.minimum(times, problem.t_end))
            for k, (times, states) in enumerate(zip(found["nodes"], found["states"], strict=True))
        )
        failed, switches = int(found["failed"]), int(found["switches"])
        work = f"{setting.split()[0]} steps" + (f", {failed} of them not converged" if failed else "")
        events = f"{switches / count:g} switches"
        return replace(
            outcome, seconds=float(found["seconds"][0]) / count, error=error, work=work, events=events
        )

    def again(setting: str) -> float:
        return median(float(value) for value in call(setting, limits.repeats)["seconds"]) / count

    return tightened((f"{steps} steps" for steps in (20, 50, 150)), attempt, target, again)
