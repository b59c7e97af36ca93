"""Which columns of a dataset a model reads, and how each is transformed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Transform = Literal["identity", "abs_kb", "log10_1p", "zero"]


class Feature(NamedTuple):
    """One input of a model: a column of the dataset and the transform that precedes the network.

    Transforms: ``identity`` takes the column as it is, ``abs_kb`` gives ``|x| / 1000`` (bp to kb), ``log10_1p``
    gives ``log10(1 + x)``, and ``zero`` feeds 0 whatever the column holds (the slot exists in the network, but this
    variant was trained without the signal).
    """

    column: str
    transform: Transform = "identity"

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Transform ``values`` (any shape) to float32 of the same shape."""
        if self.transform == "zero":
            return np.zeros(values.shape, dtype=np.float32)
        values = np.asarray(values, dtype=np.float64)
        if self.transform == "abs_kb":
            values = np.abs(values) / 1000.0
        elif self.transform == "log10_1p":
            values = np.log10(1.0 + values)
        return values.astype(np.float32)
