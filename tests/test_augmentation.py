import numpy as np

from training.augmentation import degrade, warp_strip
from training.strips import MARGIN


def strip() -> np.ndarray:
    pixels = np.full((64, 500), 240, np.uint8)
    pixels[30:46, 40:460:12] = 40
    return pixels


def test_a_warped_strip_has_the_recognisers_height_and_fits_its_width() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        warped = warp_strip(strip(), 48, 400, MARGIN, rng)
        assert warped.dtype == np.uint8
        assert warped.shape[0] == 48
        assert warped.shape[1] <= 400


def test_no_stroke_is_lost_to_the_warp() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        row = warp_strip(strip(), 48, 1024, MARGIN, rng)[24:34].min(axis=0) < 150
        strokes = int((np.diff(row.astype(int)) == 1).sum()) + int(row[0])
        assert strokes == 35


def test_degrading_keeps_size_and_type_and_leaves_its_input_alone() -> None:
    rng = np.random.default_rng(0)
    original = strip()
    for _ in range(60):
        worse = degrade(original, rng)
        assert (worse.shape, worse.dtype) == (original.shape, np.uint8)
    assert (original == strip()).all()


def test_the_same_seed_gives_the_same_strip() -> None:
    first, second = (degrade(strip(), np.random.default_rng(7)) for _ in range(2))
    assert (first == second).all()
