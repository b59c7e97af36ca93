"""Contact as the activity-by-contact (ABC) pipeline takes it from a map, before it joins it with distance."""

from __future__ import annotations

import numpy as np

from epinformer.inputs.contact_maps import ContactMap
from epinformer.prepare.contact import ContactSource, MapContacts
from epinformer.settings import AbcConfig, ContactConfig


class AbcContacts(MapContacts):
    """Contact of a map whose rows are scaled, diagonal is replaced and poorly covered bins are left out.

    The steps are those of the ABC pipeline, release 1, in its order; each can be switched off.

    1. `scale_rows`: contact is divided by the mean of the row sums that are above 0, of the chromosome's whole
       symmetric matrix, so that a row of a balanced matrix sums to 1. Masked pixels count as 0.
    2. `diagonal`: where a bin has contact with itself, that becomes this percentage of the larger of its contacts with
       its two neighbours; a neighbour that is masked or beyond the end has 0. None: left as it is.
    3. `min_norm`: bins whose norm (`ContactMap.relative_norms`) is below it have no data.

    What then has no data is NaN, for `prepare.abc` to take the power law. The pipeline does 1 and 2 for .hic files and
    all of them for dumps of Juicer's; dumps normalised by VC it scales row by row, which is not done here.
    """

    def __init__(self, contact_map: ContactMap, settings: AbcConfig) -> None:
        super().__init__(contact_map)
        self._settings = settings
        self._row_sums: dict[str, float] = {}

    @property
    def words(self) -> str:
        """File, normalisation, bins and steps."""
        steps = [super().words]
        if self._settings.scale_rows:
            steps.append("divided by the mean row sum")
        if self._settings.diagonal is not None:
            steps.append(f"diagonal {self._settings.diagonal:g} % of the larger neighbour")
        if self._settings.min_norm > 0:
            steps.append(f"bins of norm below {self._settings.min_norm:g} missing")
        return ", ".join(steps)

    def _values(self, name: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        selves = np.unique(one[one == other]) if self._settings.diagonal is not None else one[:0]
        # Asked for together, so that the map is read once.
        found = self.map.values(
            name, np.concatenate([one, selves - 1, selves]), np.concatenate([other, selves, selves + 1])
        )
        values, before, after = np.split(found, [len(one), len(one) + len(selves)])
        if self._settings.diagonal is not None:
            own = np.flatnonzero((one == other) & (values > 0))
            largest = np.maximum(np.nan_to_num(before), np.nan_to_num(after))
            values[own] = largest[np.searchsorted(selves, one[own])] * self._settings.diagonal / 100
        if self._settings.scale_rows:
            values = values / self._mean_row_sum(name)
        if self._settings.min_norm > 0:
            known = np.flatnonzero(np.isfinite(values))
            low = self.map.relative_norms(name) < self._settings.min_norm
            values[known[low[one[known]] | low[other[known]]]] = np.nan
        return values

    def _mean_row_sum(self, name: str) -> float:
        if name not in self._row_sums:
            sums = self.map.row_sums(name)
            self._row_sums[name] = float(sums[sums > 0].mean()) if (sums > 0).any() else 1.0
        return self._row_sums[name]


def abc_source(source: MapContacts, settings: ContactConfig, abc: AbcConfig) -> ContactSource:
    """Contact for the ABC score: a map's in the steps of `AbcContacts`, that of tables of bins as it is.

    Parameters
    ----------
    source
        As `open_contacts` yields it.
    settings
        What it was opened with. `bedpe` and `average` are finished contacts to the ABC pipeline, too.
    abc
        The steps.
    """
    return AbcContacts(source.map, abc) if settings.map is not None else source
