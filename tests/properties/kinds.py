"""All kinds of generated cases, and what came of one."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from invariance_cases import INVARIANCE_KINDS
from quadratic_cases import QUADRATIC_KINDS
from relay_cases import RELAY_KINDS
from scheme_cases import SCHEME_KINDS
from sources import Seeded, Source

from filippov import FilippovError

__all__ = ["KINDS", "MAY_REFUSE", "judge"]

MAY_REFUSE = {
    "nearly singular, l_inf and l1",
    "indefinite, all modes enumerated",
    "relay, four forms of one system",
    "l2, groups, group l1",
    "decrease: adaptive, face-aware, inertial",
}
"""Kinds with cases that have no one answer, or that lie beyond a documented limit; all others must be solved."""

KINDS: dict[str, Callable[[Source], None]] = {
    **QUADRATIC_KINDS,
    **RELAY_KINDS,
    **SCHEME_KINDS,
    **INVARIANCE_KINDS,
}


def judge(name: str, seed: int, number: int) -> tuple[str, str]:
    """Try case `number` of a kind; return "right", "named" or "wrong", and the message of the last two.

    Whatever is not a `FilippovError` is wrong: a warning of numpy and a crash as much as a false answer.
    """
    source = Seeded(seed, list(KINDS).index(name), number)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            KINDS[name](source)
        except FilippovError as error:
            return "named", f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - counted, and reported with its number
            return "wrong", f"{type(error).__name__}: {error}"
    return "right", ""
