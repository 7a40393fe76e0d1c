"""Train a recogniser in minutes on one GPU, from one archive that holds lines, settings, weights and code.

    python -m training.short_run.pack training/experiments/recognizer.toml --data PAGES --data PEN --data ASSETS \
        --start training/checkpoints/recognizer.pt --out build/short_run.zip
    PYTHONPATH=short_run.zip python -m training.short_run.fit short_run.zip --out runs/short
"""
