"""Claims, what was measured of them, and the verdict that follows by a fixed rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from filippov.arguments import Vector
from filippov.errors import InvalidInputError

__all__ = ["CONFIRMED", "REFUTED", "Claim", "Measurement", "Observation", "Verdict", "cell", "judge"]

CONFIRMED = 0.9
"""Confirmed: the claim holds on at least this share of the seeds in every setting."""

REFUTED = 0.1
"""Refuted: the claim holds on at most this share of the seeds in every setting. Otherwise it depends."""


@dataclass(frozen=True)
class Claim:
    """A statement that can be true or false of one problem instance.

    Attributes
    ----------
    key : str
    statement : str
    origin : str
        Where the paper says it; "here" for a finding of this project.
    statistic : str
        What is measured.
    criterion : str
        When the claim holds of an instance, in terms of the statistic.
    """

    key: str
    statement: str
    origin: str
    statistic: str
    criterion: str


@dataclass(frozen=True)
class Observation:
    """What one seed says about a claim in one setting."""

    claim: str
    setting: str
    value: float
    holds: bool


@dataclass(frozen=True, eq=False)
class Measurement:
    """All seeds of one setting.

    Attributes
    ----------
    setting : str
    values : ndarray of shape (number of seeds,)
        The statistic.
    held : int
        On how many seeds the claim holds.
    """

    setting: str
    values: Vector
    held: int

    @property
    def share(self) -> float:
        """The share of seeds on which the claim holds."""
        return self.held / self.values.size

    @property
    def share_band(self) -> tuple[float, float]:
        """The exact 95 % (Clopper-Pearson) interval of that share over all seeds there could be."""
        band = binomtest(self.held, self.values.size).proportion_ci(0.95, method="exact")
        return float(band.low), float(band.high)

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """First quartile, median, third quartile; order statistics, so that inf may be among the values."""
        low, middle, high = np.quantile(self.values, [0.25, 0.5, 0.75], method="closest_observation")
        return float(low), float(middle), float(high)


@dataclass(frozen=True, eq=False)
class Verdict:
    """A claim with its measurements."""

    claim: Claim
    measurements: tuple[Measurement, ...]

    @property
    def outcome(self) -> str:
        """The verdict: "confirmed", "refuted" or "depends"."""
        shares = [measurement.share for measurement in self.measurements]
        if min(shares) >= CONFIRMED:
            return "confirmed"
        return "refuted" if max(shares) <= REFUTED else "depends"

    def markdown(self) -> str:
        """Return a section of a results page."""
        claim = self.claim
        lines = [
            f"### {claim.statement}",
            "",
            f"**{self.outcome}** ({claim.origin}). Measured: {claim.statistic}. Holds where {claim.criterion}.",
            "",
            "| setting | seeds | holds | 95 % interval | first quartile | median | third quartile | least to largest |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for m in self.measurements:
            low, high = m.share_band
            spread = f"{np.min(m.values):.3g} to {np.max(m.values):.3g}"
            cells = (cell(m.setting), str(m.values.size), f"{m.share:.0%}", f"{low:.0%} to {high:.0%}")
            lines.append("| " + " | ".join((*cells, *(f"{q:.3g}" for q in m.quartiles), spread)) + " |")
        return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table, where a bare bar would end the cell."""
    return text.replace("|", "\\|")


def judge(claims: Sequence[Claim], observations: Iterable[Observation]) -> tuple[Verdict, ...]:
    """Group observations by claim and setting, in the order of the claims and of first appearance.

    Raises
    ------
    InvalidInputError
        If a claim was not observed, or an observation has no claim or no value.
    """
    known: Mapping[str, Claim] = {claim.key: claim for claim in claims}
    grouped: dict[str, dict[str, list[Observation]]] = {key: {} for key in known}
    for observation in observations:
        if observation.claim not in known:
            raise InvalidInputError(f"observations must belong to a claim, got {observation.claim!r}")
        if np.isnan(observation.value):
            raise InvalidInputError(f"observations must have a value, got nan for {observation.claim!r}")
        grouped[observation.claim].setdefault(observation.setting, []).append(observation)
    verdicts = []
    for key, settings in grouped.items():
        if not settings:
            raise InvalidInputError(f"observations must cover every claim, got none for {key!r}")
        measurements = tuple(
            Measurement(setting, np.array([o.value for o in group]), sum(o.holds for o in group))
            for setting, group in settings.items()
        )
        verdicts.append(Verdict(known[key], measurements))
    return tuple(verdicts)
