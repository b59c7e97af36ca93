"""Which columns of a dataset a model reads, and how each is transformed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Transform = Literal["identity", "abs_kb", "log10_1p", "log10_0.1p", "log10_bp", "sign", "is_zero", "zero"]


class Feature(NamedTuple):
    """One input of a model: a column of the dataset and the transform that precedes the network.

    Transforms of a value x: ``identity`` takes it as it is; ``abs_kb`` gives |x| / 1000 (bp to kb); ``log10_1p`` gives
    log10(1 + x), and ``log10_0.1p`` log10(0.1 + x), for signals; ``log10_bp`` gives log10(100 + |x|), for distances
    and lengths in bp; ``sign`` gives -1, 0 or 1; ``is_zero`` gives 1 for 0 and else 0, since no read at all often means
    that none can be mapped; ``zero`` feeds 0 whatever the column holds (the slot exists in the network, but this
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
        elif self.transform == "log10_0.1p":
            values = np.log10(0.1 + values)
        elif self.transform == "log10_bp":
            values = np.log10(100.0 + np.abs(values))
        elif self.transform == "sign":
            values = np.sign(values)
        elif self.transform == "is_zero":
            values = values == 0
        return values.astype(np.float32)
