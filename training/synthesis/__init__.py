"""Render synthetic training pages, with the exact lines of each, from typefaces and texts.

The folder has the format that `training.data.pages` reads. Each page depends on the seed and its index alone:
``python -m training.synthesis --assets build/assets --out DIR --pages 900 --seed 1 --split train``.
"""
