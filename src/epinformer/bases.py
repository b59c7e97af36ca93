"""DNA letters as small integers: the code of every sequence on disk and in memory."""

from __future__ import annotations

import numpy as np

OTHER_BASE = 4
"""An N or any other letter than A, C, G, T: a base is there, but not known which."""

NO_BASE = 5
"""No base at all: beyond a chromosome's end, or padding."""

COMPLEMENT = np.array([3, 2, 1, 0, OTHER_BASE, NO_BASE], dtype=np.uint8)
"""The code of the base on the other strand, by code."""

_IGNORED = b" \t\r\n\v\f"
_TABLE = bytes(
    {"A": 0, "C": 1, "G": 2, "T": 3}.get(chr(byte).upper(), OTHER_BASE) if byte < 128 else OTHER_BASE
    for byte in range(256)
)


def encode(text: bytes) -> np.ndarray:
    """Codes of a DNA text: A 0, C 1, G 2, T 3 in either case, any other byte 4.

    Parameters
    ----------
    text
        Letters; white space (line ends) is left out.

    Returns
    -------
    np.ndarray
        uint8, (letters,), read-only because it shares the translated bytes.
    """
    return np.frombuffer(text.translate(_TABLE, _IGNORED), dtype=np.uint8)
