"""Scores that need no model on real CRISPR tables: what links must beat, and what the paper's protocol gives away.

python -m benchmarks.crispr [--bootstraps 1000]

All valid pairs of the K562 training set and its floors; the published comparison on the 774 pairs within 100 kb of
the genes of Fulco et al. 2019 that have a regulated one, of which the paper's Methods count 737, with ABC, activity and
contact as that table has them; and the activity-by-contact model's power-law predictions, joined as any links are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import parser
from epinformer.evaluation.crispr import benchmark_crispr
from epinformer.evaluation.crispr_join import ScoreRule
from epinformer.evaluation.crispr_measure import Stratum, measure_scores
from epinformer.evaluation.crispr_protocols import NO_INFORMATION, floor_scores, paper_scores, strata_of
from epinformer.inputs.crispr import read_crispr
from epinformer.report.crispr import summary

TRAINING = "crispr/EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"
FULCO = "crispr/EPCrisprBenchmark_Fulco2019_K562_GRCh38.tsv.gz"
FULCO_ABC = "crispr/ABC_K562_Fulco2019Genes_GRCh38.tsv.gz"
PAPER = "crispr/fulco2019_774pairs_hg19.csv.gz"
TABLE_SCORES = {"ABC": "ABC Score", "activity": "Activity", "contact": "Normalized HiC Contacts"}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--bootstraps", type=int, default=1000)
    given = options.parse_args()
    for name, stratum in training_floors(given.data, given.bootstraps).items():
        show(f"K562 training set, {name}", stratum)
    for only, title in ((False, "as in the paper, 774 pairs"), (True, "as in the paper, 737 pairs")):
        show(title, paper_protocol(given.data, only, given.bootstraps))
    print("\nABC's power-law predictions on the genes of Fulco et al. 2019")
    print(summary(benchmark_crispr(given.data / FULCO_ABC, given.data / FULCO, bootstraps=given.bootstraps)))


def training_floors(data: Path, bootstraps: int) -> dict[str, Stratum]:
    """The floors of the K562 training set on all valid pairs, and by distance."""
    tested = read_crispr(data / TRAINING)
    floors = floor_scores(tested.pairs)
    regulated = tested.outcomes["regulated"].to_numpy(bool)
    return {
        name: measure_scores(floors[inside], regulated[inside], tested.pairs["gene"][inside], bootstraps=bootstraps)
        for name, inside in strata_of(tested.pairs["distance"]).items()
    }


def paper_protocol(data: Path, only_737: bool, bootstraps: int) -> Stratum:
    """The published comparison with the scores that its table has."""
    tested = read_crispr(data / PAPER)
    whole = pd.read_csv(data / PAPER)
    scores = floor_scores(tested.pairs)
    for name, column in TABLE_SCORES.items():
        scores[name] = whole[column].to_numpy(np.float64)
    kept = whole["in_737_set"].to_numpy(bool) if only_737 else np.ones(len(whole), dtype=bool)
    regulated = tested.outcomes["regulated"].to_numpy(bool)[kept]
    rules = {name: ScoreRule("max") for name in TABLE_SCORES}
    chosen, shares = paper_scores(tested.pairs[kept], regulated, scores[kept], rules)
    genes = tested.pairs["gene"][kept][chosen]
    return measure_scores(shares, regulated[chosen], genes, bootstraps=bootstraps)


def show(title: str, stratum: Stratum) -> None:
    """Print every score of a stratum, the best first."""
    print(f"\n{title}: {stratum.regulated:,} of {stratum.pairs:,} pairs regulated, {stratum.genes:,} genes")
    scores = sorted(stratum.scores.items(), key=lambda item: -(item[1].values["average_precision"] or 0))
    for name, each in scores:
        interval = each.intervals["average_precision"]
        span = f"[{interval.low:.3f}, {interval.high:.3f}]" if interval else ""
        print(f"  {name:<30}{each.values['average_precision']:.4f} {span}", end="")
        print(f"   precision at 70 % recall {each.values['precision_at_70_recall']:.3f}", end="")
        against = stratum.differences.get((name, NO_INFORMATION))
        if against is not None and (limits := against.intervals["average_precision"]) is not None:
            print(
                f"   above 1/n {against.values['average_precision']:+.3f} [{limits.low:+.3f}, {limits.high:+.3f}]",
                end="",
            )
        print()


if __name__ == "__main__":
    main()
