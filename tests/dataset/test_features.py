from __future__ import annotations

import numpy as np
import pytest

from epinformer.dataset.features import Feature, Transform


@pytest.mark.parametrize(
    ("transform", "values", "expected"),
    [
        ("identity", [0.5, -2], [0.5, -2]),
        ("abs_kb", [-1500, 0, 100_000], [1.5, 0, 100]),
        ("log10_1p", [0, 9, 99], [0, 1, 2]),
        ("log10_0.1p", [0, 0.9, 99.9], [-1, 0, 2]),
        ("log10_bp", [0, -900, 900, 99_900], [2, 3, 3, 5]),
        ("sign", [-7, 0, 3], [-1, 0, 1]),
        ("is_zero", [0, 1e-9, 4], [1, 0, 0]),
        ("zero", [3, np.nan], [0, 0]),
    ],
)
def test_transforms(transform: Transform, values: list[float], expected: list[float]) -> None:
    found = Feature("x", transform).apply(np.array(values))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
