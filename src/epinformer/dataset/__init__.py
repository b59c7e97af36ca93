"""The dataset: what is known of genes, elements and their pairs, as a directory on disk."""
