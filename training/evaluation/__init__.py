"""Measure the product on annotated pages."""
