"""How each solver is run on a `RelayProblem`, and how its settings are tightened until the error asked for is reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from relay_problems import REPORTS, AffineRelay, RelayProblem
from scipy.integrate import solve_ivp

__all__ = [
    "EXACT",
    "FEW",
    "FEW_REPORTS",
    "Limits",
    "Outcome",
    "nosnoc",
    "ours",
    "raw",
    "regularised",
    "siconos",
    "siconos_python",
]

HERE = Path(__file__).resolve().parent

EXACT = 1e-11
"""An error that is rounding."""

FEW = 20
FEW_REPORTS = f"{FEW} steps, as many reports"
"""Steps, and times at which errors are taken, for who wants few states."""


@dataclass(frozen=True)
class Limits:
    """What a solver may spend on one setting, for all starts together."""

    seconds: float
    evaluations: int
    repeats: int

    def repeats_of(self, seconds: float) -> int:
        """Return how often a run that takes so long is repeated: not so often that the limit is passed."""
        return max(1, min(self.repeats, int(self.seconds / seconds)))


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


class _ExhaustedError(Exception):
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
    settings: Iterable[str],
    attempt: Callable[[str], Outcome],
    target: float,
    again: Callable[[str, float], float],
    *,
    after_failure: bool = False,
) -> Outcome:
    """Return the outcome of the first setting that reaches the target; the most accurate one if none does.

    `again` gives the time that counts, from the setting that was taken and its first time. A failure ends the climb where stricter
    settings only cost more; with `after_failure` it does not (an integrator can stall on one smoothing and not on the next).
    """
    best: Outcome | None = None
    for setting in settings:
        outcome = attempt(setting)
        if best is None or outcome.error < best.error or (best.failure and not outcome.failure):
            best = outcome
        if outcome.error <= target or (outcome.failure and not after_failure):
            break
    assert best is not None
    return best if best.failure else replace(best, seconds=again(best.setting, best.seconds))


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
    exact = problem.solutions[k] if times is None else problem.reference(k, times)
    return float(np.max(np.abs(states[:, : exact.shape[1]] - exact)))


# -- solve_ivp --------------------------------------------------------------------------------------------------------


def raw(problem: RelayProblem, method: str, target: float, limits: Limits) -> Outcome:
    """Return solve_ivp on the discontinuous field itself, sign for Sgn."""
    settings = (f"rtol {0.1**k * target:.0e}" for k in range(4))
    return _integrated(f"{method}, raw", problem, method, settings, target, limits)


def regularised(problem: RelayProblem, method: str, target: float, limits: Limits) -> Outcome:
    """Return solve_ivp on the smoothed field, tanh(./eps) for Sgn, with its exact Jacobian where the method takes one."""
    shares = (10.0 ** (-0.5 * k) for k in range(7))
    settings = (f"eps {share * target:.0e}, rtol {max(0.1 * share * target, 1e-13):.0e}" for share in shares)
    return _integrated(f"{method}, tanh", problem, method, settings, target, limits, after_failure=True)


def _integrated(
    solver: str,
    problem: RelayProblem,
    method: str,
    settings: Iterator[str],
    target: float,
    limits: Limits,
    *,
    after_failure: bool = False,
) -> Outcome:
    def attempt(setting: str) -> Outcome:
        values = dict(part.split() for part in setting.split(", "))
        eps, rtol = (float(values["eps"]) if "eps" in values else None), float(values["rtol"])
        counter, runs = _Counter(problem.relay, eps, limits), []
        try:
            for start in problem.starts:
                counter.reached = 0.0
                with warnings.catch_warnings():
                    # LSODA warns of what its status then says.
                    warnings.simplefilter("ignore", UserWarning)
                    run = solve_ivp(
                        counter.field,
                        (0.0, problem.t_end),
                        start,
                        method=method,
                        rtol=rtol,
                        atol=rtol,
                        t_eval=problem.times,
                        **({"jac": counter.jacobian} if eps is not None else {}),
                    )
                if not run.success:
                    return Outcome(solver, setting, failure=f"failed: {run.message}")
                runs.append(run.y.T)
        except _ExhaustedError as limit:
            where = f" of start {len(runs) + 1}" if len(problem.starts) > 1 else ""
            return Outcome(
                solver, setting, failure=f"did not finish: {limit}{where}", work=f"{counter.calls} calls"
            )
        seconds, count = time.perf_counter() - counter.began, len(problem.starts)
        error = max(_error(problem, k, states) for k, states in enumerate(runs))
        work = f"{counter.calls / count:g} calls" + (
            f" + {counter.slopes / count:g} Jacobians" if counter.slopes else ""
        )
        return Outcome(solver, setting, seconds / count, error, work)

    def again(setting: str, seconds: float) -> float:
        repeats = limits.repeats_of(seconds * len(problem.starts))
        # A repeat can pass the limit that the first run kept; it then has no time.
        return float(np.nanmedian([seconds, *(attempt(setting).seconds for _ in range(repeats - 1))]))

    return tightened(settings, attempt, target, again, after_failure=after_failure)


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
            raise _ExhaustedError(f"{self.calls} evaluations bring it to t = {self.reached:.3g}")
        if time.perf_counter() - self.began > self.limits.seconds:
            raise _ExhaustedError(f"{self.limits.seconds:g} s bring it to t = {self.reached:.3g}")


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
    found = (
        [shutil.which(given)]
        if given
        else [sys.executable, *(shutil.which("python3", path=f) for f in folders)]
    )
    for interpreter in dict.fromkeys(found):
        if interpreter is None:
            continue
        done = subprocess.run(
            [interpreter, "-c", "import siconos.kernel"], capture_output=True, check=False, timeout=120
        )
        if done.returncode == 0:
            return interpreter
    return None


def siconos(problem: RelayProblem, theta: float, target: float, limits: Limits, interpreter: str) -> Outcome:
    """Return Siconos's time stepping (theta 1: implicit Euler), its steps shortened until the error at the nodes is reached."""
    name, relay, count = f"Siconos, theta = {theta:g}", problem.autonomous, len(problem.starts)

    def call(steps: int, repeats: int) -> dict[str, np.ndarray]:
        return _in_process(
            "siconos_run.py",
            interpreter,
            timeout=60.0 + 3.0 * repeats * limits.seconds,
            **relay.dense(),
            starts=problem.autonomous_starts,
            t_end=problem.t_end,
            steps=steps,
            every=max(1, steps // (REPORTS - 1)),
            theta=theta,
            limit=limits.seconds / count,
            repeats=repeats,
        )

    best = Outcome(name, "")
    steps = REPORTS - 1
    for _ in range(6):
        setting = f"{steps} steps"
        try:
            found = call(steps, 1)
        except (RuntimeError, subprocess.TimeoutExpired) as problem_met:
            late = isinstance(problem_met, subprocess.TimeoutExpired)
            failure = f"did not finish: {problem_met.timeout:g} s" if late else f"failed: {problem_met}"
            return [best if best.setting else replace(best, setting=setting, failure=failure)]
        seconds = float(found["seconds"][0]) / count
        if float(found["reached"]) < problem.t_end:
            failure = f"did not finish: {limits.seconds:g} s bring it to t = {float(found['reached']):.3g}"
            return (
                best
                if best.setting
                else replace(best, setting=setting, work=f"{steps} steps", failure=failure)
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
    chosen, repeats = int(best.setting.split()[0]), limits.repeats_of(best.seconds * count)
    best = replace(best, seconds=float(np.median(call(chosen, repeats)["seconds"])) / count)
    if chosen > REPORTS - 1 or best.error > EXACT:
        return [best]
    sparse = call(FEW, limits.repeats)
    share = (REPORTS - 1) // FEW
    error = max(
        float(np.max(np.abs(states[:, : exact.shape[1]] - exact[::share])))
        for states, exact in zip(sparse["states"], problem.solutions, strict=False)
    )
    seconds = float(np.median(sparse["seconds"])) / count
    return [best, Outcome(name, FEW_REPORTS, seconds, error, f"{FEW} relay problems")]


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
            return replace(
                outcome, failure=f"did not finish: {late.timeout:g} s, imports and set-up included"
            )
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

    def again(setting: str, seconds: float) -> float:
        repeats = limits.repeats_of(seconds * count)
        return median(float(value) for value in call(setting, repeats)["seconds"]) / count

    return tightened((f"{steps} steps" for steps in (20, 50, 150)), attempt, target, again)
