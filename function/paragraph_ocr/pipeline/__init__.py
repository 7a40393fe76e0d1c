"""The stages from a page's pixels to its text."""
