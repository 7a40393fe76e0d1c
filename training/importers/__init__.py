"""Import transcribed pages of other programs as annotated pages for training."""
