"""Discrete schemes on random quadratics; `benchmarks/many_cases.py` tries many more."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds import MAY_REFUSE
from scheme_cases import SCHEME_KINDS
from sources import Drawn

from filippov import FilippovError


@pytest.mark.parametrize("kind", SCHEME_KINDS)
@given(data=st.data())
def test_right_or_refused_by_name(kind: str, data: Any) -> None:
    with suppress(FilippovError if kind in MAY_REFUSE else ()):
        SCHEME_KINDS[kind](Drawn(data))
