from __future__ import annotations

import numpy as np
import pandas as pd

from epinformer.combiner.fit import Trained
from epinformer.combiner.model import Combiner, Member, Term, TrainingTables
from epinformer.combiner.settings import CombinerConfig
from epinformer.evaluation.calibration import calibration
from epinformer.evaluation.crispr_measure import measure_scores
from epinformer.report.combiner import summary


def test_the_summary_has_the_numbers() -> None:
    terms = tuple(
        Term(column=name, log=None, floor=0, center=0, scale=1, weight=weight, missing=missing)
        for name, weight, missing in (("abc", 0.5, 0.0), ("attention", -1.25, 0.75))
    )
    members = tuple(
        Member(without=without, pairs=8, regulated=4, intercept=0, terms=terms) for without in (None, "1", "2")
    )
    tables = TrainingTables(
        links="l", links_sha256="", crispr="c", crispr_sha256="", cell_type=None, tested=9, without_link=1
    )
    combiner = Combiner(config=CombinerConfig.model_validate({"features": ["abc"]}), members=members, trained_on=tables)
    labels = np.arange(8) % 2 == 0
    probability = np.where(labels, 0.75, 0.25)
    scores = pd.DataFrame({"calibrated": probability})
    stratum = measure_scores(scores, labels, pd.Series(list("aabbccdd")), bootstraps=10)
    text = summary(Trained(combiner, pd.DataFrame(), {"all": stratum}, calibration(labels, probability)))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:2] == [
        "learned from 8 of 9 tested pairs (4 regulated); 1 overlap no link",
        "2 chromosomes left out in turn; average precision of the pairs left out:",
    ]
    assert "all: 4 of 8 regulated" in lines and "calibrated 1.000 [1.000, 1.000]" in lines
    assert "Brier score 0.0625, of the overall share 0.2500" in lines and "0.20 to 0.40 4 0.250 0.000" in lines
    assert lines[-2:] == ["attention -1.250 (+0.750)", "abc +0.500"]
