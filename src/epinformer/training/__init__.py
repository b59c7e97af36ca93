"""Fitting models to a dataset."""
