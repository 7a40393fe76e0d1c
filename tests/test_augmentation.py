import cv2
import numpy as np
import pytest

from training.data.augmentation import blur, cross, degrade, shade, warp_strip
from training.data.strips import MARGIN


def strip() -> np.ndarray:
    pixels = np.full((64, 500), 240, np.uint8)
    pixels[30:46, 40:460:12] = pixels[30:46, 41:461:12] = 40
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
        dark = (warp_strip(strip(), 48, 1024, MARGIN, rng) < 200).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(dark)
        assert count == 35 + 1
        assert boxes[1:, cv2.CC_STAT_HEIGHT].min() > 6


def test_bodies_and_what_rises_above_them_are_scaled_apart() -> None:
    pixels = np.full((64, 300), 240, np.uint8)
    # The baseline of a cached strip is at 45 rows, the top of letters without ascenders 13 above it.
    pixels[20:45, 20:280:40] = pixels[32:45, 40:280:40] = 40
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(30):
        dark = warp_strip(pixels, 48, 1024, MARGIN, rng) < 140
        tall, short = np.sort(dark.sum(axis=0)[dark.any(axis=0)])[[-3, 3]]
        shares.append(short / tall)
    assert np.std(shares) > 0.03


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


def test_an_edge_or_a_fold_goes_all_across_the_page() -> None:
    rng = np.random.default_rng(0)
    across = upright = 0
    for _ in range(100):
        shaded = shade(np.full((200, 300), 220, np.uint8), rng).astype(int)
        steps = np.abs(np.diff(shaded, axis=1)) > 1, np.abs(np.diff(shaded, axis=0)) > 1
        # Some folds are too faint to see.
        across += max(steps[0].any(axis=1).mean(), steps[1].any(axis=0).mean()) > 0.4
        upright += steps[0].any(axis=1).mean() > 0.9
    assert across > 80
    assert 40 < upright < 80


def test_what_is_written_under_a_shadow_stays_darker_than_the_paper() -> None:
    rng = np.random.default_rng(0)
    page = cv2.resize(strip(), None, fx=1, fy=3)
    ink = page < 100
    for _ in range(50):
        shaded = shade(page, rng)
        paper = cv2.dilate(shaded, np.ones((9, 9), np.uint8))
        assert np.mean(shaded[ink] < 0.5 * paper[ink]) > 0.95


def test_what_is_drawn_over_a_strip_runs_across_it_and_leaves_its_ink_dark() -> None:
    strip = np.full((48, 400), 220, np.uint8)
    cv2.putText(strip, "over the bridge", (10, 34), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 40, 2, cv2.LINE_AA)
    wider = changed = 0
    for seed in range(300):
        drawn = cross(strip, np.random.default_rng(seed))
        assert drawn.dtype == np.uint8
        assert drawn.shape[0] == 48
        more = drawn.shape[1] - 400
        assert 0 <= more <= 1.2 * 48
        wider += more > 0
        # Whichever side a shape stands at, the line is there as it was, or darker.
        at = more if (drawn[:, :400] > strip).any() else 0
        before, after = strip.astype(int), drawn[:, at : at + 400].astype(int)
        assert (after <= before + 1).all()
        darker = (before - after) > 20
        changed += bool(darker.any() or more)
        # What would be struck out is not to be read: nothing covers a row from end to end.
        assert darker.mean(axis=1).max() < 0.9
    assert 30 < wider < 90
    assert changed > 200


def test_a_blurred_strip_keeps_its_ink_where_it_was() -> None:
    strip = np.full((48, 300), 230, np.uint8)
    strip[20:28, 140:160] = 30
    sharp = np.abs(np.diff(strip.astype(int), axis=1)).max()
    for seed in range(40):
        seen = blur(strip, np.random.default_rng(seed)).astype(float)
        assert seen.shape == strip.shape
        ink = 230 - seen
        rows, columns = np.indices(ink.shape)
        assert ink.sum() == pytest.approx(200 * 160, rel=0.05)
        middle = [(ink * places).sum() / ink.sum() for places in (rows, columns)]
        assert middle == pytest.approx([23.5, 149.5], abs=1.5)
        assert np.abs(np.diff(seen, axis=0)).max() < sharp or np.abs(np.diff(seen, axis=1)).max() < sharp
