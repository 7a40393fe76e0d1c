"""Adapt the shipped models to the pages of one archive, register or hand."""
