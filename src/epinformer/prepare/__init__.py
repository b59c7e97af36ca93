"""From tables to a dataset."""
