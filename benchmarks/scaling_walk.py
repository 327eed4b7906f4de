"""A walk along a flow's own motion, switch by switch, that looks at what it carries; its clock stops while it looks."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from flows import NormFlow, SignFlow
from flows.faces import FaceCandidate
from flows.motions.linear_motion import LinearMotion, ProgramSelector

__all__ = ["Walk", "walk"]

MARKS = 200
"""Points of the curve of seconds against switches."""


@dataclass(frozen=True)
class Walk:
    """What was seen.

    Attributes
    ----------
    switches, pivots, refactors : int
    gradient : float
        Largest |H x - b - g| of the samples.
    signs : float
        Largest violation of the selection's conditions at the samples.
    clock : (k, 2) array
        Switches made, and seconds so far.
    """

    switches: int
    pivots: int
    refactors: int
    gradient: float
    signs: float
    clock: np.ndarray


def walk(flow: NormFlow, x0: np.ndarray, samples: int, most: int | None = None) -> Walk:
    """Follow the flow of a positive definite quadratic to its arrival, or over so many switches.

    The number of switches is not known beforehand: samples and marks are taken at every switch at first, then each time their
    number has grown by a share 1/samples and 1/MARKS.
    """
    motion = flow.motion(0.0, x0, 1e9, 1e-8, 1e-10)
    assert isinstance(motion, LinearMotion)
    pivots, counted, tableau = 0, 0, None
    seen, signs, clock, spent = 0.0, 0.0, [(0, 0.0)], 0.0
    k, next_look, next_mark = 0, 0, 1
    while True:
        began = time.perf_counter()
        candidate = motion.candidates()[0]
        motion.enter(candidate)
        spent += time.perf_counter() - began
        selector = motion.selector
        assert isinstance(selector, ProgramSelector)
        assert selector.program is not None
        current = selector.program.tableau
        if current is not tableau:  # the first one, or rebuilt: its count starts anew
            tableau, counted = current, 0
        pivots, counted = pivots + current.pivots - counted, current.pivots
        assert isinstance(candidate, FaceCandidate)
        if candidate.mode.resting or k == most:
            clock.append((k, spent))
            return Walk(k, pivots, selector.program.refactors, seen, signs, np.array(clock))
        if k == next_look:
            gradient = motion.H @ motion.x - motion.b
            seen = max(seen, float(np.max(np.abs(gradient - motion.g))))
            check = _sign_violation if isinstance(flow, SignFlow) else _greedy_violation
            signs = max(signs, check(motion, candidate, gradient))
            next_look = k + 1 + k // samples
        if k == next_mark:
            clock.append((k, spent))
            next_mark = k + 1 + k // MARKS
        began = time.perf_counter()
        motion.advance(1e9)
        spent += time.perf_counter() - began
        k += 1


def _sign_violation(motion: LinearMotion, candidate: FaceCandidate, g: np.ndarray) -> float:
    """Return how far v is from solving its box program: |v| <= 1; g_i, g_i' zero where it slides; v = side elsewhere."""
    v, w, sides = motion.v, motion.H @ motion.v, candidate.mode.sides
    slides = sides == 0
    at_bound = np.where(slides, 0.0, np.abs(v - sides))
    wrong_side = np.where(slides, np.abs(g), np.maximum(sides * g, 0.0))
    held = np.where(slides, np.abs(w), 0.0)
    # A side is the sign of v_i, against that of g_i; on its surface, just left, g_i must be going there.
    leaving = np.where(~slides & (np.abs(g) <= motion.error), np.maximum(sides * w, 0.0), 0.0)
    return float(
        max(np.max(np.abs(v)) - 1.0, *(np.max(part) for part in (at_bound, wrong_side, held, leaving)))
    )


def _greedy_violation(motion: LinearMotion, candidate: FaceCandidate, g: np.ndarray) -> float:
    """Return how far v is from solving its simplex program, and the tied |g_i| from being equal and largest."""
    v, s, level = motion.v, np.sign(g), float(np.max(np.abs(g)))
    tied = candidate.face.members
    rates = (s * (motion.H @ v))[tied]
    return float(
        max(
            abs(np.sum(np.abs(v)) - 1.0),
            np.max(np.abs(v[~tied]), initial=0.0),
            np.max(np.maximum(s * v, 0.0)),
            np.max(level - np.abs(g[tied])),
            np.ptp(rates),
        )
    )
