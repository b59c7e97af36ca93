"""The networks: from a batch of genes to predictions. Opens no file but a checkpoint."""
