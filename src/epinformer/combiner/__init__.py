"""Scores of links made into probabilities, learned from CRISPR-tested pairs."""
