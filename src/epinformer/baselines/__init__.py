"""Predictors that know less, which every model is compared with."""
