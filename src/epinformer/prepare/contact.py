"""Contact of pairs: the power law of distance, and what was measured, in a table of pairs or a map."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.bin_pairs import open_average, open_bedpe
from epinformer.inputs.chromosomes import reconciled
from epinformer.inputs.contact_maps import NONE, ContactMap, open_contact_map
from epinformer.prepare.elements import midpoints
from epinformer.prepare.pairs import rows_by_chromosome
from epinformer.settings import POWERLAW_GAMMA, POWERLAW_SCALE, ContactConfig

logger = logging.getLogger(__name__)

# Below this many bp the contact is taken as constant.
POWERLAW_FLOOR = 5_000


def powerlaw_contact(
    distance: np.ndarray, *, gamma: float = POWERLAW_GAMMA, scale: float = POWERLAW_SCALE
) -> np.ndarray:
    """Contact that is expected at a distance.

    exp(scale - gamma * ln(max(|distance|, 5000) + 1)), the power law of the activity-by-contact model (Fulco et al.,
    Nature Genetics 2019), by default with scale 5.9594510 and gamma 1.0242386.

    Parameters
    ----------
    distance
        bp (n,), of either sign.

    Returns
    -------
    ndarray
        float64 (n,), without unit.
    """
    far = np.maximum(np.abs(np.asarray(distance, dtype=np.float64)), POWERLAW_FLOOR)
    contact: np.ndarray = np.exp(scale - gamma * np.log(far + 1))
    return contact


class ContactSource(Protocol):
    """Where the contact of any two positions of a chromosome can be asked for."""

    @property
    def words(self) -> str:
        """What it is, for the manifest and the log."""

    def contact(self, chrom: str, tss: np.ndarray, midpoint: np.ndarray) -> np.ndarray:
        """Contact of pairs of positions, 0-based int64 (n,): float64 (n,), NaN where there are no data."""


class MapContacts:
    """Contact of positions by the bins of a map that they lie in (a `ContactSource`)."""

    def __init__(self, contact_map: ContactMap) -> None:
        self.map = contact_map

    @property
    def words(self) -> str:
        """File, normalisation and bins."""
        normalisation = "" if self.map.normalisation == NONE else f"{self.map.normalisation}, "
        return f"{self.map.path.name}, {normalisation}bins of {self.map.resolution:,} bp"

    def contact(self, chrom: str, tss: np.ndarray, midpoint: np.ndarray) -> np.ndarray:
        """Contact of pairs of positions of a chromosome, each in the style of the dataset's names.

        The map's rows are read at every call, so ask for many pairs at once.

        Parameters
        ----------
        chrom
            Either style of name.
        tss, midpoint
            0-based positions int64 (n,).

        Returns
        -------
        ndarray
            float64 (n,); NaN on a chromosome that the map lacks, outside a chromosome, and where the normalisation
            masks a bin. Bins without contact have 0.
        """
        name = self.map.name_of(chrom)
        if name is None:
            return np.full(len(tss), np.nan)
        return self._values(name, self.bins_of(tss), self.bins_of(midpoint))

    def bins_of(self, positions: np.ndarray) -> np.ndarray:
        """Numbers of the bins that hold positions, int64."""
        return np.asarray(positions, dtype=np.int64) // self.map.resolution

    def _values(self, name: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self.map.values(name, one, other)

    def expected(self, chroms: Iterable[str], farthest: int) -> np.ndarray:
        """Mean contact at 0..farthest bins over these chromosomes, float64; where there are no data, as nearer by.

        NaN if there are no data at all.
        """
        names = [name for chrom in chroms if (name := self.map.name_of(chrom)) is not None]
        sums, pairs = np.zeros(farthest + 1), np.zeros(farthest + 1)
        for name in names:
            own_sums, own_pairs = self.map.distance_sums(name, farthest)
            sums += own_sums
            pairs += own_pairs
        mean = np.divide(sums, pairs, out=np.full(farthest + 1, np.nan), where=pairs > 0)
        return pd.Series(mean).ffill().bfill().to_numpy()


@contextlib.contextmanager
def open_contacts(settings: ContactConfig, path_of: Callable[[str], Path], max_distance: int) -> Iterator[MapContacts]:
    """Open the map, BEDPE or average Hi-C that settings name, as it is.

    Parameters
    ----------
    settings
        With `map`, `bedpe` or `average`.
    path_of
        Where a file named in the settings lies.
    max_distance
        bp; nothing is asked for that is farther apart. Bounds the memory.

    Yields
    ------
    MapContacts
        Valid inside the block.

    Raises
    ------
    InputError
        As `open_contact_map`, `open_bedpe` and `open_average`.
    """
    if settings.map is not None:
        path = path_of(settings.map)
        with open_contact_map(path, resolution=settings.resolution, normalisation=settings.normalisation) as opened:
            yield MapContacts(opened)
    elif settings.bedpe is not None:
        yield MapContacts(open_bedpe(path_of(settings.bedpe), max_distance))
    elif settings.average is not None:
        yield MapContacts(open_average(path_of(settings.average), max_distance))
    else:
        raise ValueError("the settings name no contact of any two positions")


def map_contacts(
    pairs: pd.DataFrame,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    source: MapContacts,
    missing: float | Literal["expected"] | None,
) -> np.ndarray:
    """Contact of each pair, between the bins of its TSS and of its element's midpoint.

    Parameters
    ----------
    pairs
        gene_index, element_index.
    genes, elements
        chrom, tss (0-based); chrom, start, end.
    source
        As `open_contacts` yields it.
    missing
        The contact of pairs that have none in the map; how many is logged. `expected`: the mean contact of all pairs
        of bins that are as many bins apart, over the chromosomes of the pairs. None: no pair may lack it.

    Returns
    -------
    ndarray
        float64 (number of pairs,).

    Raises
    ------
    InputError
        The map has none of the pairs, or lacks some while `missing` is None.
    """
    gene, element = pairs["gene_index"].to_numpy(np.int64), pairs["element_index"].to_numpy(np.int64)
    tss, midpoint = genes["tss"].to_numpy(np.int64)[gene], midpoints(elements)[element]
    rows = rows_by_chromosome(genes.iloc[gene])
    values = np.full(len(pairs), np.nan)
    for chrom, own in rows.items():
        values[own] = source.contact(chrom, tss[own], midpoint[own])
    absent = np.isnan(values)
    lacking = [chrom for chrom in rows if source.map.name_of(chrom) is None]
    if len(pairs) and absent.all():
        raise InputError(
            "has the contact of none of the pairs",
            source=source.map.path,
            count=len(pairs),
            first=f"{_pair(pairs, genes, elements, 0)}; the map has {', '.join([*source.map.chromosomes][:5])}",
            fix="Check that it is of this assembly, and has the normalisation on these chromosomes",
        )
    if lacking:
        logger.warning(
            "%s lacks %s, where %s of %s pairs are",
            source.map.path.name,
            ", ".join(lacking),
            f"{sum(len(rows[chrom]) for chrom in lacking):,}",
            f"{len(pairs):,}",
        )
    if absent.any() and missing is None:
        raise InputError(
            "has no contact for some pairs, whose bins it lacks or masks",
            source=source.map.path,
            count=int(absent.sum()),
            first=_pair(pairs, genes, elements, int(absent.argmax())),
            fix="Set contact.missing to `expected`, what the map has on average at that distance, or to a number",
        )
    if absent.any():
        if missing == "expected":
            apart = np.abs(source.bins_of(tss[absent]) - source.bins_of(midpoint[absent]))
            values[absent] = source.expected(rows, int(apart.max()))[apart]
        else:
            values[absent] = missing
    filled = ""
    if absent.any():
        what = "what the map has on average at their distance" if missing == "expected" else missing
        filled = f"; the other {absent.sum():,}, whose bins are masked or not in the map, are set to {what}"
    logger.info(
        "%s has the contact of %s of %s pairs%s",
        source.map.path.name,
        f"{(~absent).sum():,}",
        f"{len(pairs):,}",
        filled,
    )
    return values


def joined_contacts(
    pairs: pd.DataFrame,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    contacts: pd.DataFrame,
    missing: float | None,
    path: str | Path,
) -> np.ndarray:
    """Measured contact of each pair.

    Parameters
    ----------
    pairs
        gene_index, element_index.
    genes, elements
        With gene_id, and with element_id (the interval as given, before long ones are cut) and chrom.
    contacts
        gene_id, chrom, element_id, contact (`inputs.contacts.read_pair_contacts`). Rows of other pairs are passed over.
    missing
        The contact of pairs that the table lacks; how many is logged. None: no pair may lack it.
    path
        The table's file, for messages.

    Returns
    -------
    ndarray
        float64 (number of pairs,).

    Raises
    ------
    InputError
        The table has none of the pairs, or lacks some while `missing` is None.
    """
    names = reconciled(contacts["chrom"].unique(), elements["chrom"].unique(), path)
    element_id = contacts["element_id"]
    if any(name != other for name, other in names.items()):
        element_id = contacts["chrom"].map(names) + ":" + element_id.str.rpartition(":")[2]
    gene = pd.Index(genes["gene_id"]).get_indexer(contacts["gene_id"]).astype(np.int64)
    element = pd.Index(elements["element_id"]).get_indexer(element_id).astype(np.int64)
    known = (gene >= 0) & (element >= 0)
    keys = pd.Index(gene[known] * len(elements) + element[known])
    wanted = pairs["gene_index"].to_numpy(np.int64) * len(elements) + pairs["element_index"].to_numpy(np.int64)
    row = keys.get_indexer(wanted)
    absent = row < 0
    if len(pairs) and absent.all():
        raise InputError(
            "has none of the pairs",
            source=path,
            count=len(pairs),
            first=f"{_pair(pairs, genes, elements, 0)} is not found; the file has "
            f"{contacts['gene_id'].iloc[0]} with {contacts['element_id'].iloc[0]}",
            fix="Use the gene ids of the gene table and the intervals of the element table",
        )
    if absent.any() and missing is None:
        raise InputError(
            "lacks pairs",
            source=path,
            count=int(absent.sum()),
            first=_pair(pairs, genes, elements, int(absent.argmax())),
            fix="Add them, or set contact.missing to the contact that such pairs shall have",
        )
    values = np.full(len(pairs), 0.0 if missing is None else missing)
    values[~absent] = contacts["contact"].to_numpy(np.float64)[known][row[~absent]]
    filled = f"; the other {absent.sum():,} are set to {missing}" if absent.any() else ""
    logger.info(
        "%s has the contact of %s of %s pairs%s", Path(path).name, f"{(~absent).sum():,}", f"{len(pairs):,}", filled
    )
    return values


def _pair(pairs: pd.DataFrame, genes: pd.DataFrame, elements: pd.DataFrame, row: int) -> str:
    gene, element = pairs["gene_index"].iloc[row], pairs["element_index"].iloc[row]
    return f"{genes['gene_id'].iloc[gene]} with {elements['element_id'].iloc[element]}"
