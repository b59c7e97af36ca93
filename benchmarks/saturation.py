"""Saturation mutagenesis of the PKLR promoter in K562 against the published 256-bp model, which has never seen it.

    python -m benchmarks.saturation

CAGI5's released variants (Kircher et al. 2019), whose value is the log2 change of the reporter. The model's effect is
that of `epinformer variants`: the difference of its log2(0.1 + activity), the mean over windows that hold the base and
over both strands.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.measure import parser
from epinformer.bases import encode
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import import_checkpoint, load_model
from epinformer.scoring.variant_activity import window, window_begins

WEIGHTS = "fold_1_best_K562_seq2activityLog2_leaveChrOut_combinedRS_2bins_bs64_H3K27ac_adamW_erisxdl_r0_checkpoint.pt"


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    variants = measured(given.data / "mpra" / "cagi5_satmut")
    variants["predicted"] = predicted(given.data / "published" / WEIGHTS, variants)
    confident = variants[variants["Confidence"] >= 0.1]
    for name, table in (("all", variants), ("confidence of at least 0.1", confident)):
        draws = np.random.default_rng(0).choice(table["Pos"].unique(), (1000, table["Pos"].nunique()))
        by_position = dict(list(table.groupby("Pos")))
        resampled = [correlation(pd.concat([by_position[place] for place in draw])) for draw in draws]
        low, high = np.quantile(resampled, [0.025, 0.975])
        print(
            f"PKLR, {len(table):,} variants ({name}): Pearson {correlation(table):.3f} [{low:.3f}, {high:.3f}] over "
            f"positions, Spearman {correlation(table.rank(numeric_only=True)):.3f}"
        )


def measured(folder: Path) -> pd.DataFrame:
    """The variants of PKLR, and of each the construct's codes and where in it the base is."""
    table = pd.read_csv(folder / "cagi5_df.csv")
    table = table[table["regulatory_element"] == "release_PKLR"].reset_index(drop=True)
    construct = pd.read_csv(folder / "base_seqs.csv").set_index("regulatory_element").loc["PKLR"]
    codes = encode(construct["ref_sequence"].encode())
    place = table["Pos"].to_numpy() - 1 - int(construct["start_pos"])
    reference = np.array([encode(base.encode())[0] for base in table["Ref"]])
    if not (codes[place] == reference).all():
        raise SystemExit(f"the construct has another base than {(codes[place] != reference).sum():,} variants say")
    return table.assign(place=place, codes=[codes] * len(table))


def predicted(weights: Path, variants: pd.DataFrame) -> np.ndarray:
    """Effect of each variant, float64."""
    with tempfile.TemporaryDirectory() as folder:
        import_checkpoint(weights, Path(folder) / "activity.model")
        model = load_model(Path(folder) / "activity.model").model
    assert isinstance(model, ActivityModel)
    effects = []
    with torch.inference_mode():
        for codes, place, base in zip(variants["codes"], variants["place"], variants["Alt"], strict=True):
            changed = codes.copy()
            changed[place] = encode(base.encode())[0]
            begins = window_begins(len(codes), int(place))
            rows = np.stack([window(sequence, int(begin)) for sequence in (codes, changed) for begin in begins])
            before, after = model.both_strands(torch.from_numpy(rows)).view(2, -1).mean(1)
            effects.append(float(after - before))
    return np.array(effects)


def correlation(table: pd.DataFrame) -> float:
    """Pearson of measured and predicted effects."""
    return float(np.corrcoef(table["Value"], table["predicted"])[0, 1])


if __name__ == "__main__":
    main()
