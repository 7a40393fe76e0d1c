"""Optimizers and averages of weights."""
