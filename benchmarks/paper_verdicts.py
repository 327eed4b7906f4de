"""The paper's observations, measured over many seeds: `python benchmarks/paper_verdicts.py` writes docs/results.md."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# One process a seed; threads inside each would only compete. Read by BLAS when numpy is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from tqdm import tqdm

from discretizers.experiments import BUDGET, CLAIMS, STEP_GRID, Verdict, judge, observe
from discretizers.experiments.verdicts import CONFIRMED, REFUTED, cell

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


def page(verdicts: tuple[Verdict, ...], seeds: int) -> str:
    """Return the results page."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("confirmed", "refuted", "depends"))
    rows = "\n".join(
        f"| {cell(verdict.claim.statement)} | {verdict.claim.origin} | **{verdict.outcome}** | "
        f"{min(m.share for m in verdict.measurements):.0%} to {max(m.share for m in verdict.measurements):.0%} |"
        for verdict in verdicts
    )
    sections = "\n".join(verdict.markdown() for verdict in verdicts)
    return f"""# The paper's observations, measured

"Norm-Constrained Flows and Sign-Based Optimization: Theory and Algorithms" (arXiv 2508.18510), section 7 and
appendix, redone over {seeds} seeds (for breast cancer: {seeds} random splits). This page is written by
`python benchmarks/paper_verdicts.py`; the claims and their criteria are in `discretizers/experiments/claims.py`.

A claim holds, or not, of one seed in one setting. **Confirmed**: it holds on at least {CONFIRMED:.0%} of the seeds in
every setting. **Refuted**: on at most {REFUTED:.0%} in every setting. **Depends**: everything else. Of
{len(verdicts)} claims: {summary}.

The text of the paper at hand has lost its numbers, so problem sizes, conditions and budgets are chosen here (and in
`discretizers/experiments/problems.py`): n = 50 and N = 100 unless a setting says otherwise, Q = U'DU with Haar U and
geometric D, ridge 0.01, momentum 0.9, L_i by row sums so that (5.2) holds unless a setting says otherwise, {BUDGET}
steps where constant steps are tuned (grid {STEP_GRID[0]:g} to {STEP_GRID[-1]:g}, three a decade). A verdict is
about these settings, not about the paper's own runs, which cannot be repeated.

| claim | origin | verdict | holds on (least to largest share of the seeds) |
|---|---|---|---|
{rows}

## Each claim

{sections}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="number of seeds, 0, 1, ... (default 20)")
    parser.add_argument("--out", type=Path, default=PAGE, help=f"page to write (default {PAGE.name} in docs)")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {arguments.seeds}")
    with ProcessPoolExecutor() as executor:
        found = list(tqdm(executor.map(observe, range(arguments.seeds)), total=arguments.seeds, desc="seeds"))
    verdicts = judge(CLAIMS, [observation for seed in found for observation in seed])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page(verdicts, arguments.seeds), encoding="utf-8")
    for verdict in verdicts:
        print(f"{verdict.outcome:10} {verdict.claim.statement}")
    print(f"Wrote {arguments.out}")


if __name__ == "__main__":
    main()
