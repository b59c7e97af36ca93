"""From a model and a dataset to tables of results."""
