from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.light import dark_on_light, dark_on_light_everywhere, even_light, strip_dark_on_light


def banner(ground: int, ink: int, size: int = 32) -> np.ndarray:
    """A white page with dark lines below a banner from row 40 to 140."""
    image = Image.new("L", (900, 600), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 40, 860, 140), fill=ground)
    draw.text((80, 70), "Your invoice is ready", fill=ink, font=ImageFont.load_default(size))
    for row in range(6):
        draw.text((60, 200 + 60 * row), "The old stone bridge over the river", fill=20, font=ImageFont.load_default(26))
    return np.asarray(image)


@pytest.mark.parametrize("ground", [0, 60, 110, 150])
def test_writing_on_a_dark_banner_becomes_dark_and_the_rest_stays(ground: int) -> None:
    page = banner(ground, 255)
    seen = dark_on_light_everywhere(page)
    writing = page[60:120, 70:420] > 240
    part = seen[60:120, 70:420]
    assert part[writing].mean() < 60
    assert part[~writing].mean() > 200
    assert np.array_equal(seen[180:], page[180:])


@pytest.mark.parametrize("page", [banner(225, 0), banner(255, 30)], ids=["shaded", "plain"])
def test_dark_writing_stays_as_it_is(page: np.ndarray) -> None:
    assert np.array_equal(dark_on_light_everywhere(page), page)


def test_a_large_word_over_small_letters_stays_dark() -> None:
    image = Image.new("L", (1240, 600), 255)
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(
        ("February. Please bring your membership card", "contribution of 5.00 towards the cost")
    ):
        draw.text((90, 60 + 36 * row), text, fill=0, font=ImageFont.load_default(26))
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"), 200)
    draw.text((400, 10), "Nova", fill=0, font=font)
    page = np.asarray(image)
    assert np.array_equal(dark_on_light_everywhere(page), page)


def test_a_dark_table_around_a_sheet_stays_dark() -> None:
    page = np.full((800, 1000), 60, np.uint8)
    page[100:700, 150:850] = banner(255, 30)[:, :700]
    assert dark_on_light_everywhere(page)[:60].max() < 80


def test_light_that_falls_on_a_dark_table_is_no_writing_on_it() -> None:
    page = np.full((900, 1200), 235, np.uint8)
    page[80:680, 140:1040] = banner(255, 30)
    lit = np.maximum(np.sin(np.arange(1200) / 60), 0) ** 6
    page[850:] = (15 + 75 * lit).astype(np.uint8)
    assert np.array_equal(dark_on_light_everywhere(page), page)


def test_the_dim_side_of_a_sheet_on_a_patterned_table_keeps_its_dark_writing() -> None:
    rows, columns = np.mgrid[:1000, :1500]
    page = np.where(np.sin(rows / 10) * np.sin(columns / 10) > 0.4, 190, 110).astype(np.uint8)
    sheet = np.tile(banner(255, 30)[180:580, 50:450], (2, 2))
    page[100:900, 150:950] = (sheet * np.clip(np.linspace(1.6, 0.5, 800), None, 1.0)).astype(np.uint8)
    seen = dark_on_light_everywhere(page)
    assert np.array_equal(seen[100:900, 150:950], page[100:900, 150:950])


@pytest.mark.parametrize("table", [40, 80])
def test_a_bar_at_the_edge_of_a_sheet_is_told_from_the_dark_table_around_it(table: int) -> None:
    sheet = np.full((500, 900), 175, np.uint8)
    sheet[:60] = 125
    image = Image.fromarray(np.pad(sheet, ((120, 100), (150, 150)), constant_values=table))
    draw = ImageDraw.Draw(image)
    draw.text((180, 135), "File Edit View Search Help", fill=175, font=ImageFont.load_default(26))
    for row in range(5):
        draw.text((200, 220 + 60 * row), "The old stone bridge", fill=60, font=ImageFont.load_default(26))
    page = np.asarray(image)
    changed = dark_on_light_everywhere(page)
    bar = np.s_[125:175, 170:700]
    writing = page[bar] > 165
    assert changed[bar][writing].mean() < 110
    assert changed[bar][~writing].mean() > 150
    assert np.array_equal(changed[200:], page[200:])


@pytest.mark.parametrize("table", [45, 100])
@pytest.mark.parametrize("bold", [False, True])
def test_writing_on_the_dark_band_of_a_card_on_a_dark_table_becomes_dark(table: int, bold: bool) -> None:
    image = Image.new("L", (1200, 900), table)
    draw = ImageDraw.Draw(image)
    draw.polygon([(70, 110), (1100, 70), (1130, 850), (80, 860)], fill=250)
    draw.polygon([(70, 110), (1100, 70), (1105, 215), (72, 255)], fill=75)
    name = f"fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / name), 50)
    draw.text((590, 160), "HELLO", fill=245, font=font, anchor="mm")
    draw.text((590, 480), "Paul", fill=20, font=font.font_variant(size=120), anchor="mm")
    noise = np.random.default_rng(0).normal(0, 3, (900, 1200))
    page = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    seen = dark_on_light_everywhere(page)
    word = np.s_[130:190, 500:680]
    writing = page[word] > 200
    assert seen[word][writing].mean() < 80
    assert seen[word][~writing].mean() > 200
    assert np.array_equal(seen[300:, 100:1000], page[300:, 100:1000])


def test_a_dark_wedge_at_the_edge_of_a_page_is_no_bar() -> None:
    image = Image.fromarray(np.pad(banner(255, 30), ((0, 300), (0, 300)), constant_values=235))
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 900), (1200, 900), (1200, 860), (0, 700)], fill=12)
    for left in (200, 500):
        draw.ellipse((left, 860, left + 16, 868), fill=160)
    page = np.asarray(image)
    assert np.array_equal(dark_on_light_everywhere(page), page)


@pytest.mark.parametrize("ink", [170, 200, 255])
def test_grey_writing_on_a_dark_bar_becomes_dark(ink: int) -> None:
    image = Image.new("L", (900, 600), 255)
    draw = ImageDraw.Draw(image)
    cell(draw, (40, 40, 860, 80), 30, ink, "Your invoice is ready")
    for row in range(6):
        draw.text((60, 200 + 60 * row), "The old stone bridge over the river", fill=20, font=ImageFont.load_default(26))
    darkest, usual = levels(dark_on_light_everywhere(np.asarray(image)), (40, 40, 860, 80))
    assert darkest < 130
    assert usual > 230


def test_a_strip_is_inverted_only_if_most_of_it_is_dark() -> None:
    strip = np.full((48, 400), 230, np.uint8)
    strip[15:33, 10:390:12] = strip[15:33, 11:390:12] = strip[15:33, 12:390:12] = 40
    assert strip_dark_on_light(strip) is strip
    assert np.array_equal(strip_dark_on_light(255 - strip), strip)


def test_thin_writing_on_a_sheet_with_black_borders_is_not_taken_for_light_on_dark() -> None:
    page = np.full((1000, 800), 210, np.uint8)
    page[:, :30] = page[:, -30:] = page[:20] = page[-40:] = 5
    for row in range(100, 900, 60):
        for left in range(80, 700, 14):
            page[row : row + 18, left : left + 2] = 120
    assert dark_on_light(page) is page
    assert np.array_equal(dark_on_light(255 - page), page)


@pytest.mark.parametrize("ink", [200, 208])
def test_faint_writing_on_a_sheet_with_a_dark_edge_is_not_taken_for_light_on_dark(ink: int) -> None:
    """The sheet is lighter than its edge; what is written on it was too faint to count."""
    image = Image.new("L", (1240, 1600), 220)
    draw = ImageDraw.Draw(image)
    for row in range(14):
        draw.text((120, 300 + 40 * row), "The people here are anxious to see a flight", ink, ImageFont.load_default(26))
    draw.polygon([(0, 0), (1240, 0), (1240, 4), (0, 22)], fill=60)
    page = np.clip(np.asarray(image) + np.random.default_rng(0).normal(0, 3, (1600, 1240)), 0, 255).astype(np.uint8)
    assert dark_on_light(page) is page
    assert np.array_equal(dark_on_light(255 - page), page)


def cell(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], ground: int, ink: int, text: str) -> None:
    draw.rectangle(box, fill=ground)
    draw.text((box[0] + 12, (box[1] + box[3]) // 2), text, ink, ImageFont.load_default(22), anchor="lm")


def levels(page: np.ndarray, box: tuple[int, int, int, int]) -> tuple[float, float]:
    """The darkest and the usual grey level within a box."""
    left, top, right, bottom = box
    part = page[top + 4 : bottom - 4, left + 4 : right - 4]
    return float(part.min()), float(np.median(part))


def test_each_cell_of_a_row_is_settled_by_its_own_writing() -> None:
    image = Image.new("L", (900, 600), 255)
    draw = ImageDraw.Draw(image)
    boxes = [(20 + 210 * place, 60, 226 + 210 * place, 104) for place in range(4)]
    for box, (ground, ink) in zip(boxes, [(120, 0), (40, 255), (130, 10), (90, 250)], strict=True):
        cell(draw, box, ground, ink, "Continue")
    for row in range(6):
        draw.text((60, 200 + 60 * row), "The old stone bridge over the river", 20, ImageFont.load_default(26))
    page = dark_on_light_everywhere(np.asarray(image))
    for box in boxes:
        darkest, usual = levels(page, box)
        assert darkest < 60
        assert abs(usual - 255) < 20


def test_a_narrow_bar_and_one_that_touches_it_are_told_apart() -> None:
    image = Image.new("L", (1000, 700), 255)
    draw = ImageDraw.Draw(image)
    head, below = (20, 60, 980, 90), (20, 91, 500, 140)
    cell(draw, head, 20, 255, "Item")
    cell(draw, below, 130, 0, "Oak shelf")
    for row in range(6):
        draw.text((60, 200 + 60 * row), "The old stone bridge over the river", 20, ImageFont.load_default(26))
    page = dark_on_light_everywhere(np.asarray(image))
    assert levels(page, head)[1] > 230
    assert levels(page, head)[0] < 60
    assert abs(levels(page, below)[1] - 255) < 10
    assert levels(page, below)[0] < 60


def test_a_light_page_with_little_but_banners_stays_light() -> None:
    image = Image.new("L", (900, 1200), 255)
    draw = ImageDraw.Draw(image)
    boxes = [(0, 20 + 130 * row, 900, 120 + 130 * row) for row in range(3)]
    for box in boxes:
        cell(draw, box, 0, 255, "The old stone bridge over the river was closed")
    page = dark_on_light_everywhere(np.asarray(image))
    assert page[600:].min() == 255
    assert all(levels(page, box)[1] > 230 for box in boxes)


def screen(sidebar: int, panel: int) -> np.ndarray:
    """A screen with a sidebar from column 0 to 240 and a panel beside it, both with text."""
    image = Image.new("L", (1000, 700), panel)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 240, 700), fill=sidebar)
    for row in range(8):
        draw.text((20, 40 + 60 * row), "Settings", fill=30, font=ImageFont.load_default(22))
        draw.text((300, 40 + 60 * row), "The old stone bridge over the river", fill=30, font=ImageFont.load_default(22))
    return np.asarray(image)


@pytest.mark.parametrize(("sidebar", "panel"), [(172, 205), (225, 250)])
def test_panels_of_a_screen_become_equally_light(sidebar: int, panel: int) -> None:
    even = even_light(screen(sidebar, panel))
    assert np.percentile(even[:, :230], 50) == pytest.approx(np.percentile(even[:, 250:], 50), abs=6)
    # No edge is left between them, which would look like a rule.
    assert even[600:, 200:290].min() > 0.9 * panel
    assert even[:, :230].min() < 60


def test_a_page_of_one_light_and_one_whose_light_falls_off_a_little_stay_as_they_are() -> None:
    page = screen(250, 250)
    assert even_light(page) is page
    falling = (page * np.linspace(0.85, 1, page.shape[1])).astype(np.uint8)
    assert even_light(falling) is falling


@pytest.mark.parametrize(("text", "size"), [("BOARD", 400), ("SALE", 260), ("ABQ & 8", 320), ("Programme", 180)])
def test_a_big_heading_on_a_light_page_stays_dark(text: str, size: int) -> None:
    font = str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf")
    image = Image.new("L", (1400, 1600), 240)
    draw = ImageDraw.Draw(image)
    draw.text((60, 500), text, 15, ImageFont.truetype(font, size), anchor="ls")
    for baseline in range(640, 1500, 60):
        draw.text(
            (60, baseline), "The annual meeting is held on Thursday in the hall", 30, ImageFont.truetype(font, 30)
        )
    page = np.asarray(image)
    assert dark_on_light_everywhere(page) is page


@pytest.mark.parametrize("size", [40, 60])
def test_big_light_letters_on_a_banner_become_dark(size: int) -> None:
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"), size)
    image = Image.new("L", (1400, 1600), 240)
    draw = ImageDraw.Draw(image)
    draw.rectangle((80, 100, 1320, 160 + 2 * size), 40)
    draw.text((140, 120 + 1.4 * size), "NOTICE TO ALL", 245, font, anchor="ls")
    for baseline in range(700, 1500, 60):
        draw.text((60, baseline), "The annual meeting is held", 30, ImageFont.truetype(font.path, 30))
    page = np.asarray(image)
    result = dark_on_light_everywhere(page)
    banner = np.s_[110 : 150 + 2 * size, 90:1310]
    assert np.median(result[banner]) > 200
    assert np.mean(result[banner][page[banner] > 230] < 60) > 0.95


@pytest.mark.parametrize(("ground", "ink", "slope"), [(170, 80, 0), (170, 80, 8), (200, 20, 8), (140, 30, 0)])
def test_a_grey_bar_becomes_as_light_as_paper_to_its_edges_and_its_writing_stays(
    ground: int, ink: int, slope: int
) -> None:
    image = Image.new("L", (1000, 700), 245)
    draw = ImageDraw.Draw(image)
    draw.polygon([(20, 60 + slope), (980, 60), (980, 110), (20, 110 + slope)], fill=ground)
    for place, text in enumerate(["Price", "Balance", "Page", "Place"]):
        x = 40 + 240 * place
        draw.text((x, 85 + slope - slope * x // 960), text, ink, ImageFont.load_default(24), anchor="lm")
    for row in range(6):
        draw.text((60, 200 + 60 * row), "The old stone bridge over the river", 20, ImageFont.load_default(26))
    before = np.asarray(image)
    page = dark_on_light_everywhere(before)
    bar = page[50:130]
    # Hardly anything but the writing is left of it.
    writing = before[50:130] < (ground + ink) / 2
    assert (bar[~cv2.dilate(writing.view(np.uint8), np.ones((5, 5))).astype(bool)] < 225).mean() < 0.01
    assert (bar[writing] <= 245 * (ground + ink) / 2 / ground + 6).all()
    assert np.array_equal(page[150:], before[150:])


@pytest.mark.parametrize(("right", "light"), [(60, False), (1000, True)])
def test_a_grey_margin_beside_a_sheet_stays_and_a_bar_across_it_is_lightened(right: int, light: bool) -> None:
    image = Image.new("L", (1000, 700), 245)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 60, right, 110) if light else (0, 0, right, 700), fill=120)
    for row in range(9):
        draw.text((12, 66 + 70 * row), "Nr" if row else "Nr.", 20, ImageFont.load_default(26))
        draw.text((100, 140 + 60 * row), "The old stone bridge over the river", 20, ImageFont.load_default(26))
    page = dark_on_light_everywhere(np.asarray(image))
    assert (float(np.median(page[64:106, 4:right])) > 230) == light


@pytest.mark.parametrize("angle", [0.3, 0.9, 1.4])
def test_a_shadow_with_a_soft_edge_is_no_bar_with_dark_writing(angle: float) -> None:
    """It was made as light as paper up to where it began, so that a step stood there between letters."""
    page = np.full((980, 1220), 205, np.uint8)
    for row in range(90, 900, 60):
        for column in range(80, 1100, 170):
            cv2.putText(page, "12", (column, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 60, 2, cv2.LINE_AA)
    y, x = np.mgrid[:980, :1220]
    beyond = (x - 610) * np.cos(angle) + (y - 490) * np.sin(angle)
    shaded = (page * (1 - 0.35 / (1 + np.exp(-beyond / 24)))).astype(np.uint8)
    assert np.array_equal(dark_on_light_everywhere(shaded), shaded)


@pytest.mark.parametrize("side", [26, 48, 90])
def test_a_light_figure_on_a_dark_disc_becomes_dark_on_paper(side: int) -> None:
    image = Image.fromarray(banner(255, 255))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(round(0.55 * side))
    for number in range(1, 10):
        x, y = 60 + 90 * (number - 1), 90
        draw.ellipse((x - side / 2, y - side / 2, x + side / 2, y + side / 2), fill=30)
        draw.text((x, y), str(number), 255, font, anchor="mm")
    seen = dark_on_light_everywhere(np.asarray(image))[90 - side // 2 - 2 : 90 + side // 2 + 3]
    for number in range(1, 10):
        x = 60 + 90 * (number - 1)
        of_figure = Image.new("L", (90, len(seen)), 255)
        ImageDraw.Draw(of_figure).text((45, side // 2 + 2), str(number), 0, font, anchor="mm")
        own = seen[:, x - 45 : x + 45] if x > 45 else seen[:, : x + 45]
        assert np.abs(own.astype(int) - np.asarray(of_figure)).mean() < 6


def test_a_frame_of_a_pixel_around_a_screen_of_dots_is_no_disc() -> None:
    """Reduced it seems to be one; at the scale where discs are looked at, its edge is all that is connected."""
    image = Image.new("L", (1280, 900), 255)
    draw = ImageDraw.Draw(image)
    for row in range(10):
        draw.text((64, 225 + 60 * row), "The old stone bridge over the river", 20, ImageFont.load_default(30))
    page = np.array(image)
    y, x = np.mgrid[60:140, 300:380]
    page[60:140, 300:380][(x + y) % 2 == 0] = 0
    for edge in (0, 1, -2, -1):
        page[59:141, 299:381][edge] = page[59:141, 299:381][:, edge] = 255
    for edge in (0, -1):
        page[58:142, 298:382][edge] = page[58:142, 298:382][:, edge] = 0
    assert np.array_equal(dark_on_light_everywhere(page)[200:], page[200:])


@pytest.mark.parametrize("text", ["O0o", "Q8e", "•©●"])
@pytest.mark.parametrize("size", [30, 60, 120])
def test_round_letters_and_bullets_stay_dark(text: str, size: int) -> None:
    image = Image.fromarray(banner(255, 255))
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    for place, name in enumerate(("DejaVuSans-Bold.ttf", "DejaVuSans.ttf")):
        font = ImageFont.truetype(str(fonts / name), size)
        ImageDraw.Draw(image).text((60 + 420 * place, 90), text, 20, font, anchor="lm")
    page = np.asarray(image)
    assert np.array_equal(dark_on_light_everywhere(page), page)


def test_a_bar_whose_letters_touch_its_edge_is_inverted_from_end_to_end() -> None:
    image = Image.new("L", (1280, 900), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 100, 1200, 116), fill=10)
    font = ImageFont.load_default(19)
    places = {"DESCRIPTION": 64, "DISCOUNT": 560, "HEIGHT": 760, "PRICE": 1134}
    for word, left in places.items():
        draw.text((left, 99 - font.getbbox("H")[1]), word, 245, font)
    # One that does not touch it shows that the writing is light.
    draw.text((900, 108), "score", 245, ImageFont.load_default(15), anchor="lm")
    for row in range(10):
        draw.text((64, 125 + 40 * row), "The old stone bridge over the river", 20, font)
    page = dark_on_light_everywhere(np.asarray(image))
    for left in places.values():
        assert np.median(page[104:113, left : left + 60]) > 200
        assert page[104:113, left : left + 60].min() < 80
    # The page beside it stays.
    assert np.array_equal(page[130:], np.asarray(image)[130:])


@pytest.mark.parametrize("angle", [0.3, -0.6])
def test_nothing_is_left_of_the_edges_of_a_bar_that_lies_aslant(angle: float) -> None:
    image = Image.new("L", (1700, 1200), 240)
    draw = ImageDraw.Draw(image)
    draw.rectangle((100, 300, 1600, 340), fill=15)
    draw.text((120, 320), "Description", 240, ImageFont.load_default(26), anchor="lm")
    image = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=240)
    page = dark_on_light_everywhere(np.asarray(image))
    bar = np.asarray(image)[:, 400:1550] < 128
    assert (page[:, 400:1550][bar] < 128).mean() < 0.01
    rows = (page[:, 400:1550] < 128).sum(axis=1)
    assert rows.max() < 150, rows.max()
