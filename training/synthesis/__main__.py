"""Render synthetic training pages from typefaces and texts."""

from training.synthesis.folder import main

if __name__ == "__main__":
    main()
