"""Symmetries, scales, semigroup and contraction of random flows; `benchmarks/many_cases.py` tries many more."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invariance_cases import INVARIANCE_KINDS
from kinds import MAY_REFUSE
from sources import Drawn

from filippov import FilippovError


@pytest.mark.parametrize("kind", INVARIANCE_KINDS)
@given(data=st.data())
def test_right_or_refused_by_name(kind: str, data: Any) -> None:
    with suppress(FilippovError if kind in MAY_REFUSE else ()):
        INVARIANCE_KINDS[kind](Drawn(data))
