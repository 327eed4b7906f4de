"""Questions to a user's functions that are asked once at each point.

Where a path switches, its state is asked the same again and again: by every pattern of sides and sliding, by the guards, by
the start of the next arc.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector

__all__ = ["remembered"]

Answer = TypeVar("Answer", bound=NDArray[np.float64])


def remembered(method: Callable[[Any, float, Vector], Answer]) -> Callable[[Any, float, Vector], Answer]:
    """Let a method (t, x) -> array answer at the point where it was asked last without doing anything again.

    The object keeps the answers, read-only, in its dict `_answers`; one is replaced whole, so that threads never see parts.
    """
    name = method.__name__

    @wraps(method)
    def answer(self: Any, t: float, x: Vector) -> Answer:
        place = x.tobytes()
        last = self._answers.get(name)
        if last is not None and last[1] == place and last[0] == t:
            return last[2]
        value = method(self, t, x)
        value.flags.writeable = False
        self._answers[name] = (t, place, value)
        return value

    return answer
