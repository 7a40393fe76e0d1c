"""Bytes to pixels and back: decoders, limits, confined processes and files."""
