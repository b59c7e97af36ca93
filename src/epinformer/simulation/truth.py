"""The truth behind the data: what elements, genes and variants do, as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.simulation.expression import Terms, changed_activity
from epinformer.simulation.layout import World
from epinformer.simulation.model import Model
from epinformer.simulation.motifs import NAMES, meme_text
from epinformer.simulation.tables import write_table


def write_truth(
    folder: Path,
    world: World,
    sites: pd.DataFrame,
    from_sequence: np.ndarray,
    activity: np.ndarray,
    terms: Terms,
    labels: pd.DataFrame,
) -> None:
    """Write `elements.tsv`, `genes.tsv`, `motif_sites.bed` and `motifs.meme`.

    Parameters
    ----------
    folder
        Where to.
    world
        Genes and elements.
    sites
        element, motif (number), start, end, strength, strand of all sites in elements' cores.
    from_sequence, activity
        log2 activity that the sequence tells, and all of it (elements,).
    terms
        Of the expression.
    labels
        With the noiseless RNA label (genes,).
    """
    sites = sites.sort_values(["element", "start", "motif"], ignore_index=True)
    sites = sites.assign(
        chrom=world.elements["chrom"].to_numpy()[sites["element"]],
        name=np.array(NAMES)[sites["motif"]],
        score=(1000 * sites["strength"]).round().astype(int),
    )
    write_table(folder / "motif_sites.bed", sites[["chrom", "start", "end", "name", "score", "strand"]], header=False)
    listed = sites.groupby("element")["name"].agg(";".join)
    elements = world.elements.assign(
        motifs=listed.reindex(world.elements.index).fillna(""),
        log2_activity_sequence=from_sequence.round(6),
        log2_activity=activity.round(6),
        is_enhancer=(world.elements["kind"] == "enhancer").astype(int),
        gene_id=world.genes["gene_id"].to_numpy()[world.elements["gene"]],
    )
    write_table(folder / "elements.tsv", elements.drop(columns="gene"))
    promoter = world.genes["promoter"].to_numpy()
    genes = world.genes.drop(columns="promoter").assign(
        promoter_element=world.elements["element_id"].to_numpy()[promoter],
        promoter_log2_activity_sequence=from_sequence[promoter].round(6),
        promoter_log2_activity=activity[promoter].round(6),
        activity_sum=terms.activity_sum.round(6),
        promoter_term=terms.promoter.round(6),
        elements_term=terms.elements.round(6),
        half_life_term=terms.half_life.round(6),
        noise_term=terms.noise.round(6),
        log10_rpkm_noiseless=terms.noiseless.round(6),
        log10_rpkm=terms.log10_rpkm.round(6),
        RNA_noiseless=labels["noiseless"].round(6),
    )
    write_table(folder / "genes.tsv", genes.assign(isolated=genes["isolated"].astype(int)))
    (folder / "motifs.meme").write_text(meme_text(), encoding="ascii")


def variant_effects(
    drawn: pd.DataFrame,
    world: World,
    pairs: pd.DataFrame,
    activity: np.ndarray,
    terms: Terms,
    model: Model,
) -> pd.DataFrame:
    """Each variant with the gene whose expression it changes most, and by how much.

    Parameters
    ----------
    drawn
        chrom, position (0-based), ref, alt, element (row, -1 for none), motif, log2_activity_change.
    world, pairs, activity, terms, model
        What the expression came from; pairs with gene, element, acts and contact.

    Returns
    -------
    DataFrame
        chrom, position, pos (1-based, as in the VCF), name, ref, alt, element_id, motif, log2_activity_change, gene_id,
        effect (change of the gene's log10 RPKM).
    """
    number = np.arange(len(drawn))
    table = drawn.assign(name=[f"var{row + 1:07d}" for row in number])
    hits = table.assign(number=number)[table["element"] >= 0]
    # A variant in an element acts through contact; one in a gene's own promoter acts on that gene as well.
    linked = hits.merge(pairs[pairs["acts"]], on="element")
    changed = activity[linked["element"]] + linked["log2_activity_change"].to_numpy()
    linked = linked.assign(effect=changed_activity(linked, activity, changed, terms, model))
    own = pd.DataFrame({"element": world.genes["promoter"], "gene": np.arange(len(world.genes))})
    promoters = hits.merge(own, on="element")
    promoters = promoters.assign(effect=terms.promoter_slope * promoters["log2_activity_change"])
    both = pd.concat([part[["number", "gene", "effect"]] for part in (linked, promoters)])
    both = both[both["effect"] != 0]
    strongest = both.assign(size=both["effect"].abs()).sort_values(
        ["number", "size", "gene"], ascending=[True, False, True]
    )
    strongest = strongest.drop_duplicates("number").set_index("number")
    gene = strongest["gene"].reindex(number)
    names = world.genes["gene_id"].reindex(gene.fillna(-1).astype(int)).fillna("").to_numpy()
    elements = world.elements["element_id"].reindex(table["element"]).fillna("").to_numpy()
    return pd.DataFrame(
        {
            "chrom": table["chrom"],
            "position": table["position"],
            "pos": table["position"] + 1,
            "name": table["name"],
            "ref": table["ref"],
            "alt": table["alt"],
            "element_id": elements,
            "motif": table["motif"],
            "log2_activity_change": table["log2_activity_change"].round(6),
            "gene_id": names,
            "effect": strongest["effect"].reindex(number).fillna(0.0).to_numpy().round(6),
        }
    )
