"""The mRNA half-life features of a gene, in the order in which the published models take them."""

from __future__ import annotations

HALF_LIFE_FEATURES = (
    "UTR5LEN",
    "CDSLEN",
    "INTRONLEN",
    "UTR3LEN",
    "UTR5GC",
    "CDSGC",
    "UTR3GC",
    "ORFEXONDENSITY",
)
