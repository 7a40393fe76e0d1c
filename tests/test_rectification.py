import cv2
import numpy as np
import pytest

from paragraph_ocr.pipeline.light import dark_on_light, even_light
from paragraph_ocr.pipeline.rectification import (
    END_MARGIN,
    Geometry,
    Normalisation,
    cut,
    frame,
    percentiles,
    resample,
    smooth,
    to_ink,
)

GEOMETRY = Geometry(height=48, width=1024)


def arc(radius: float, width: float) -> np.ndarray:
    x = np.linspace(0, width, 40)
    return np.stack([50 + x, 300 + radius - np.sqrt(radius**2 - (x - width / 2) ** 2)], axis=1).astype(np.float32)


@pytest.mark.parametrize("angle", [-15, 0, 8])
def test_a_sloping_baseline_comes_out_level_at_its_row(angle: float) -> None:
    page = np.full((500, 700), 255, np.uint8)
    slope = np.tan(np.deg2rad(angle))
    baseline = np.array([[80, 250], [600, 250 + 520 * slope]], np.float32)
    cv2.line(page, (80, 250), (600, round(250 + 520 * slope)), 0, 2, cv2.LINE_AA)
    strip = cut(page, frame(baseline, 30, 12, GEOMETRY))
    darkest = strip[:, 20:-20].argmin(axis=0)
    assert np.abs(darkest - GEOMETRY.baseline * GEOMETRY.height).max() <= 1.5


def test_a_curved_baseline_comes_out_straight() -> None:
    page = np.full((600, 800), 255, np.uint8)
    baseline = arc(900, 600)
    cv2.polylines(page, [np.int32(baseline)], False, 0, 2, cv2.LINE_AA)
    strip = cut(page, frame(baseline, 30, 12, GEOMETRY))
    darkest = strip[:, 20:-20].argmin(axis=0)
    assert np.abs(darkest - GEOMETRY.baseline * GEOMETRY.height).max() <= 2


@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_positions_in_the_strip_lead_back_to_the_page(stretch: float) -> None:
    page = np.full((600, 800), 255, np.uint8)
    cv2.circle(page, (400, 300), 4, 0, -1)
    baseline = np.array([[100, 280], [700, 340]], np.float32)
    line = frame(baseline, 36, 14, GEOMETRY, stretch)
    strip = cut(page, line)
    row, column = np.argwhere(strip < 60).mean(axis=0)
    assert np.allclose(line.to_page(np.array([column]), np.array([row])), [[400, 300]], atol=1.5)


def test_what_is_made_wider_keeps_its_detail() -> None:
    page = np.full((400, 900), 255, np.uint8)
    for stroke in range(0, 900, 10):
        page[:, stroke : stroke + 5] = 0
    line = np.array([[100, 250], [800, 250]], np.float32)
    contrast = [float(np.std(cut(page, frame(line, 120, 40, GEOMETRY, stretch))[:, 30:-30])) for stretch in (1.0, 1.5)]
    assert contrast[1] > 1.3 * contrast[0]


def test_a_frame_beyond_the_page_repeats_its_edge() -> None:
    page = np.full((40, 60), 200, np.uint8)
    strip = cut(page, frame(np.array([[-30, 5], [400, 5]], np.float32), 30, 10, GEOMETRY))
    assert (strip == 200).all()


def lettering() -> np.ndarray:
    page = np.full((900, 700), 230, np.uint8)
    for row in range(60, 860, 40):
        cv2.putText(page, "the grey geese over the river", (40, row), cv2.FONT_HERSHEY_SIMPLEX, 1, 40, 2, cv2.LINE_AA)
    return page


def test_a_page_in_even_light_stays_as_it_is() -> None:
    page = lettering()
    assert even_light(page) is page
    word = cv2.resize(page[30:75, 40:120], None, fx=4, fy=4)
    assert even_light(word) is word


def test_a_shadow_is_lifted_and_the_letters_under_it_stay() -> None:
    page = lettering()
    light = 1.0 - 0.5 / (1 + np.exp(-0.05 * (np.arange(700) - 400)))
    lifted = even_light((page * light).astype(np.uint8)).astype(int)
    assert np.percentile(lifted, 60) - np.percentile(lifted[:, 600:], 60) < 12
    dark = lifted[page < 60]
    assert np.percentile(dark, 95) < 80


@pytest.mark.parametrize("dim", [0.4, 0.55, 0.7])
def test_the_edge_of_a_shadow_does_not_stay_as_a_line(dim: float) -> None:
    page = np.full((700, 900), 225, np.uint8)
    light = np.where(np.arange(900) > 430, dim, 1.0)
    lifted = even_light((page * light).astype(np.uint8)).astype(int)
    assert np.ptp(lifted) < 12


def test_the_table_around_a_page_is_not_made_paper() -> None:
    photo = cv2.copyMakeBorder(lettering(), 150, 150, 150, 150, cv2.BORDER_CONSTANT, value=50)
    assert even_light(photo)[:100].max() < 140


def test_ink_does_not_depend_on_paper_tone_or_ink_strength() -> None:
    rng = np.random.default_rng(0)
    drawing = (rng.random((48, 400)) < 0.1).astype(np.float32)
    dark = (250 - 240 * drawing).astype(np.uint8)
    light = (180 - 80 * drawing).astype(np.uint8)
    assert np.allclose(to_ink(dark, Normalisation()), to_ink(light, Normalisation()), atol=0.02)


def test_blank_paper_stays_blank() -> None:
    rng = np.random.default_rng(0)
    paper = np.clip(rng.normal(220, 2, (48, 400)), 0, 255).astype(np.uint8)
    assert np.abs(to_ink(paper, Normalisation())).max() < 0.35


def test_resampled_points_are_evenly_spaced_and_keep_the_ends() -> None:
    line = np.array([[0, 0], [30, 40], [30, 100]], np.float32)
    points = resample(line, 5)
    gaps = np.hypot(*np.diff(points, axis=0).T)
    assert np.allclose([points[0], points[-1]], [line[0], line[-1]])
    assert gaps.max() <= 5.01


def test_smoothing_keeps_a_straight_line() -> None:
    line = np.stack([np.arange(20), 2 * np.arange(20)], axis=1).astype(np.float32)
    assert np.allclose(smooth(line, 8), line, atol=1e-4)


@pytest.mark.parametrize("paper", [90, 250])
def test_light_strokes_on_dark_are_turned_round_and_dark_ones_kept(paper: int) -> None:
    page = np.full((400, 600), paper, np.uint8)
    page[:, 400:] //= 2  # a shadow, darker than some ink
    for row in range(60, 360, 40):
        cv2.putText(page, "dear sir, thank you", (30, row), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 1, paper // 4, 2)
    assert dark_on_light(page) is page
    assert np.array_equal(dark_on_light(255 - page), page)


def test_a_line_somewhat_too_long_is_squeezed_and_a_longer_one_makes_a_longer_strip() -> None:
    def columns(widths: float, stretch: float = 1.0) -> int:
        length = widths * GEOMETRY.width * 1.3 * 42 / GEOMETRY.height
        return len(frame(np.array([[0, 50], [length, 50]], np.float32), 30, 12, GEOMETRY, stretch).origins)

    assert columns(0.5) == pytest.approx(0.5 * GEOMETRY.width, rel=0.05)
    assert columns(1.2) == columns(0.995) == GEOMETRY.width - END_MARGIN
    assert columns(2.5) == pytest.approx(2.5 * GEOMETRY.width, rel=0.05)
    assert columns(99) == 8 * GEOMETRY.width
    assert columns(0.5, 1.5) == pytest.approx(0.75 * GEOMETRY.width, rel=0.05)
    assert columns(1.2, 1.5) == 1.5 * (GEOMETRY.width - END_MARGIN)
    assert columns(99, 1.5) == 8 * GEOMETRY.width


@pytest.mark.parametrize("turned", [False, True])
def test_the_table_of_ink_gives_what_each_pixel_would(turned: bool) -> None:
    image = np.random.default_rng(1).integers(0, 256, (48, 301)).astype(np.uint8) // 2 + 90
    image = image[::-1, ::-1] if turned else image
    dark, paper = np.percentile(image[::2, ::2], (2, 70))
    ink = np.clip((np.float32(paper) - image.astype(np.float32)) / np.float32(paper - dark), -0.3, 1.3)
    assert np.array_equal(to_ink(image, Normalisation()), ink)


@pytest.mark.parametrize("pixels", [1, 2, 7, 1000])
def test_percentiles_are_those_of_numpy(pixels: int) -> None:
    image = np.random.default_rng(pixels).integers(0, 256, (1, pixels)).astype(np.uint8)
    shares = (0, 1, 2, 50, 70, 98, 100)
    assert np.allclose(percentiles(image, shares), np.percentile(image, shares), rtol=1e-12)


def test_a_frame_can_be_cut_again() -> None:
    page = lettering()
    line = frame(np.array([[30, 100], [300, 104], [660, 101]], np.float32), 28, 9, GEOMETRY)
    origins = line.origins.copy()
    assert np.array_equal(cut(page, line), cut(page, line))
    assert np.array_equal(line.origins, origins)


def test_a_strip_shows_the_page_where_its_frame_says() -> None:
    page = lettering()
    line = frame(np.array([[30, 100], [300, 104], [660, 101]], np.float32), 28, 9, GEOMETRY)
    rows = np.arange(line.height, dtype=np.float32)[:, None] - line.baseline_row
    x, y = (line.origins[:, axis] + rows * line.downs[:, axis] for axis in (0, 1))
    sampled = cv2.remap(page, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    assert np.abs(cut(page, line).astype(int) - sampled).max() <= 8


def test_several_rows_lead_back_to_the_page_as_each_does() -> None:
    line = frame(np.array([[30, 100], [300, 180], [660, 101]], np.float32), 28, 9, GEOMETRY)
    columns, rows = np.array([-3.0, 10.5, 400.0, 5000.0]), np.array([[2.0], [40.0]])
    expected = [line.to_page(columns, np.full(4, row)) for row in rows.ravel()]
    assert np.array_equal(line.to_page(columns, rows), expected)


def test_smoothing_is_a_mean_of_neighbours() -> None:
    line = np.random.default_rng(2).normal(size=(40, 2)).astype(np.float32)
    means = np.stack([line[at - 4 : at + 5].astype(float).mean(axis=0) for at in range(4, 36)])
    assert np.allclose(smooth(line, 8)[4:36], means, atol=1e-6)
