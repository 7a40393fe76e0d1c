"""Lines are grouped into the blocks that their places and words tell, and every format says the same of them."""

import math
from itertools import chain

import pytest

from paragraph_ocr.document import Block, Cell, Line, Page, Points, Word
from paragraph_ocr.pipeline.blocks import find_blocks

SIZE = 30.0
STEP = 45.0
LETTER = 14.0


def line(text: str, left: float, base: float, size: float = SIZE, right: float | None = None) -> Line:
    """A line of letters as wide as each other, on a baseline at `base`."""
    right = left + LETTER * size / SIZE * len(text) if right is None else right
    top, bottom = base - 0.75 * size, base + 0.25 * size
    outline = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Line(text, 0.9, outline, ((left, base), (right, base)), (Word(text, 0.9, outline),))


def turned(each: Line, angle: float) -> Line:
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def turn(points: Points) -> Points:
        return tuple((x * c - y * s, x * s + y * c) for x, y in points)

    return Line(each.text, each.confidence, turn(each.polygon), turn(each.baseline), each.words)


def kinds(lines: list[Line], height: float = 1754) -> list[tuple[str, list[str]]]:
    blocks = find_blocks(lines, 1240, height)
    assert sorted(chain.from_iterable(block.lines for block in blocks)) == list(range(len(lines)))
    return [(block.kind, [lines[index].text for index in block.lines]) for block in blocks]


PROSE = "The annual meeting of the society will be held on Thursday in"
FIRST = [PROSE, "the large hall of the town library, and members who wish to pr", "opose an item are asked to write."]
SECOND = [
    "Please bring your membership card and, if you can, a contribut",
    "ion towards the cost of the room that we rent for all of this",
    "day.",
]


def paragraph(texts: list[str], base: float, left: float = 100, indent: float = 0) -> list[Line]:
    return [line(text, left + indent * (not row), base + STEP * row) for row, text in enumerate(texts)]


@pytest.mark.parametrize("angle", [0.0, 3.0, -4.0])
def test_a_gap_parts_paragraphs(angle: float) -> None:
    lines = paragraph(FIRST, 200) + paragraph(SECOND, 200 + 3 * STEP + 40)
    assert kinds([turned(each, angle) for each in lines]) == [("paragraph", FIRST), ("paragraph", SECOND)]


def test_an_indented_first_line_parts_them_too() -> None:
    lines = paragraph(FIRST, 200) + paragraph(SECOND, 200 + 3 * STEP, indent=50)
    assert kinds(lines) == [("paragraph", FIRST), ("paragraph", SECOND)]
    # Not a line that merely begins further in.
    ragged = paragraph(FIRST[:2], 200) + paragraph(SECOND, 200 + 2 * STEP, indent=50)
    assert [kind for kind, _ in kinds(ragged)] == ["paragraph"]


def test_gaps_part_paragraphs_on_a_page_of_short_ones() -> None:
    """As in a letter, most of whose lines are followed by a gap."""
    parts = [
        ["Dear Mr. Harris,"],
        FIRST,
        [text[:40] for text in SECOND[:2]],
        ["It may take some days until then."],
        ["Anna"],
    ]
    lines: list[Line] = []
    base = 200.0
    for part in parts:
        lines += paragraph(part, base)
        base += STEP * (len(part) - 1) + 1.8 * STEP
    assert kinds(lines) == [("paragraph", part) for part in parts]


@pytest.mark.parametrize("jitter", [0, 6])
def test_uneven_spacing_parts_nothing(jitter: int) -> None:
    texts = [*FIRST[:2], *SECOND[:2]] * 2
    lines = [line(text, 100, 200 + STEP * row + jitter * (row % 3 - 1)) for row, text in enumerate(texts)]
    assert kinds(lines) == [("paragraph", texts)]


def test_text_of_wide_spacing_runs_on_around_narrower() -> None:
    """A typescript with a quotation."""
    wide = [PROSE, "the large hall of the town library, and members who wish to p", "ropose an item are asked to"]
    wide.append("write.")
    quoted = [text[:40] for text in (*FIRST[:2], *SECOND[:2])]
    lines = [line(text, 100, 200 + 2 * STEP * row) for row, text in enumerate(wide)]
    lines += paragraph(quoted, 200 + 8 * STEP, left=160)
    lines += [line(text, 100, 200 + 13 * STEP + 2 * STEP * row) for row, text in enumerate(wide)]
    assert kinds(lines) == [("paragraph", wide), ("paragraph", quoted), ("paragraph", wide)]


def test_a_gap_stands_out_on_a_page_of_few_lines() -> None:
    lines = [*paragraph(["The author says:"], 200), *paragraph(FIRST[:2], 285), line("This is not true.", 100, 415)]
    assert kinds(lines) == [
        ("paragraph", ["The author says:"]),
        ("paragraph", FIRST[:2]),
        ("paragraph", ["This is not true."]),
    ]


def test_the_next_column_is_another_block() -> None:
    left = paragraph([text[:30] for text in FIRST], 200)
    right = paragraph([text[:30] for text in SECOND], 200, left=700)
    assert len(kinds(left + right)) == 2


def test_headings_are_tall_or_numbered_or_in_the_middle() -> None:
    title = line("Rules of the society", 100, 120, size=56)
    below = 120 + 80.0
    numbered = line("2. On money", 100, below + 5 * STEP)
    lines = [title, *paragraph(FIRST, below), numbered, *paragraph(SECOND, below + 6.6 * STEP)]
    assert [kind for kind, _ in kinds(lines)] == ["heading", "paragraph", "heading", "paragraph"]
    found = find_blocks(lines, 1240, 1754)
    assert [block.level for block in found] == [1, 0, 2, 0]
    centred = [line("On money", 500, 100), *paragraph(SECOND, 180)]
    assert [kind for kind, _ in kinds(centred)] == ["heading", "paragraph"]
    salutation = [line("Dear Anna,", 100, 100), *paragraph(SECOND, 190)]
    assert [kind for kind, _ in kinds(salutation)] == ["paragraph", "paragraph"]


def test_a_heading_is_told_by_the_width_of_its_letters_too() -> None:
    """The polygons of large lines are hardly taller than others; their letters are wider."""

    def heading(text: str, base: float, wider: float, taller: float = 1.16) -> Line:
        return line(text, 100, base, size=taller * SIZE, right=100 + wider * LETTER * len(text))

    rest = paragraph(FIRST, 300) + paragraph(SECOND, 700)
    found = [
        kind
        for kind, _ in kinds([heading("Education", 220, 1.8), *rest[:3], heading("Languages", 620, 1.8), *rest[3:]])
    ]
    assert found == ["heading", "paragraph", "heading", "paragraph"]
    # Neither letters that are only wide, as in another font, nor ones that are only a little larger.
    for wider, taller in ((1.8, 1.0), (1.15, 1.1)):
        assert kinds([heading("Education", 220, wider, taller), *rest])[0][0] == "paragraph"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("What it costs", "heading"), ("what it costs", "paragraph"), ("It costs much.", "paragraph"),
     ("Dear Mrs Farrow,", "paragraph"), ("Present:", "paragraph")],
)  # fmt: skip
def test_a_line_of_words_between_paragraphs_is_a_heading(text: str, kind: str) -> None:
    lines = [*paragraph(FIRST, 300), line(text, 100, 480), *paragraph(["P" + SECOND[0][1:], *SECOND[1:]], 570)]
    assert [found for found, _ in kinds(lines)] == ["paragraph", kind, "paragraph"]
    # Closer to the paragraph above, it belongs to that.
    lower = [*lines[:4], *(line(each.text, 100, each.baseline[0][1] + 120) for each in lines[4:])]
    assert "heading" not in [found for found, _ in kinds(lower)]


def test_what_nothing_follows_is_no_heading() -> None:
    """Such as a name in large letters under a text."""
    lines = [*paragraph(FIRST, 300), line("Robert Quinn", 700, 560, 2 * SIZE)]
    assert [kind for kind, _ in kinds(lines)] == ["paragraph", "paragraph"]
    assert kinds([line("The river", 100, 200, 2 * SIZE), *paragraph(FIRST, 400)])[0][0] == "heading"


def test_a_heading_may_stand_above_a_table() -> None:
    title = line("Results of the year", 100, 100, size=44)
    cells = table([("North", "$1.00"), ("South", "$2.00"), ("West", "$13.00")], 200)
    assert [kind for kind, _ in kinds([title, *cells])] == ["heading", "table"]


def test_boxes_to_tick_are_the_items_of_a_list() -> None:
    texts = ["[x] Cancel the newspaper", "[ ] Order boxes", "[x] Tell the bank"]
    lines = paragraph(FIRST, 200) + paragraph(texts, 420)
    assert kinds(lines) == [("paragraph", FIRST), ("list", texts)]


def test_an_item_goes_on_at_the_margin_after_a_full_line() -> None:
    texts = [
        "1) No smoking.",
        "2) Guests leave the kitchen as they find it, before",
        "they go to bed.",
        "3) Keys are here.",
    ]
    found = find_blocks(paragraph(texts, 200), 1240, 1754)
    assert [(block.kind, block.items) for block in found] == [("list", ((0,), (1, 2), (3,)))]


@pytest.mark.parametrize("marks", ["-*-", "•••", ("1.", "2.", "3."), ("a)", "b)", "c)")])
def test_a_list_has_items(marks: tuple[str, ...]) -> None:
    texts = [
        f"{marks[0]} bread",
        f"{marks[1]} milk and all that is needed for a cake with",
        "  cream",
        f"{marks[2]} tea",
    ]
    lines = [line(text.strip(), 100 + 40 * text.startswith(" "), 400 + STEP * row) for row, text in enumerate(texts)]
    before = paragraph(FIRST, 200)
    found = find_blocks(before + lines, 1240, 1754)
    assert [block.kind for block in found] == ["paragraph", "list"]
    assert found[1].items == ((3,), (4, 5), (6,))


def test_one_dash_makes_no_list() -> None:
    speech = ["- he said that he would come to the house", *SECOND]
    assert kinds(paragraph(speech, 200)) == [("paragraph", speech)]


RECEIPT = [("LG TV 55", "$899.99"), ("SONY PC", "$6.99"), ("HDMI CABLE", "$19.99"), ("TOTAL", "$926.97")]


def table(rows: list[tuple[str, ...]], base: float, lefts: tuple[float, ...] = (100, 700)) -> list[Line]:
    cells = []
    for number, row in enumerate(rows):
        for left, text in zip(lefts, row, strict=True):
            if text:
                # Amounts end under each other.
                own = left + (7 - len(text)) * LETTER if text[0] == "$" else left
                cells.append(line(text, own, base + STEP * number))
    return cells


def test_a_table_has_rows_of_cells() -> None:
    before, after = paragraph(FIRST, 200), paragraph(SECOND, 800)
    cells = table(RECEIPT, 400)
    lines = before + cells + after
    found = find_blocks(lines, 1240, 1754)
    assert [block.kind for block in found] == ["paragraph", "table", "paragraph"]
    rows = [tuple(" ".join(lines[index].text for index in cell.lines) for cell in row) for row in found[1].rows]
    assert rows == RECEIPT


def test_an_empty_cell_and_a_cell_of_two_lines_keep_their_places() -> None:
    rows = [("name", "born", "place"), ("Anna", "1871", "Ghent"), ("Karl", "", "Graz"), ("Ida", "1880", "Linz")]
    lines = table(rows, 400, (100, 400, 700))
    second = line("in Styria", 700, 400 + 2 * STEP + 0.6 * STEP)
    lines.insert(8, second)
    (found,) = find_blocks(lines, 1240, 1754)
    cells = [tuple(" ".join(lines[index].text for index in cell.lines) for cell in row) for row in found.rows]
    assert cells == [rows[0], rows[1], ("Karl", "", "Graz in Styria"), rows[3]]


def test_the_letter_of_an_item_is_in_its_cell() -> None:
    rows = [("Aix", "", "11.13"), ("c)", "Colombes", "23.57"), ("Pau", "", "7.37"), ("g)", "Nanterre", "18.16")]
    lines = []
    for row, texts in enumerate(rows):
        lines += [line(text, left, 300 + 60 * row) for left, text in zip((100, 160, 700), texts, strict=True) if text]
    (block,) = find_blocks(lines, 1240, 1754)
    assert block.kind == "table"
    cells = [[" ".join(lines[index].text for index in cell.lines) for cell in row] for row in block.rows]
    assert cells == [["Aix", "11.13"], ["c) Colombes", "23.57"], ["Pau", "7.37"], ["g) Nanterre", "18.16"]]


def test_pieces_of_lines_make_no_table() -> None:
    lines = []
    for row, cut in enumerate([12, 31, 20, 40]):
        text = PROSE[:cut]
        lines += [line(text, 100, 200 + STEP * row), line(PROSE[cut:], 130 + LETTER * cut, 200 + STEP * row)]
    assert [kind for kind, _ in kinds(lines)] == ["paragraph"]


def test_a_page_number_stands_alone_at_the_edge() -> None:
    lines = [*paragraph(FIRST, 300), line("- 12 -", 600, 1700)]
    assert kinds(lines)[-1] == ("page_number", ["- 12 -"])
    assert kinds([line("Page 3 of 10", 600, 60), *paragraph(FIRST, 300)])[0] == ("page_number", ["Page 3 of 10"])
    # A number in the text is none, and neither is a word there.
    assert ("page_number", ["1871"]) not in kinds([*paragraph(FIRST, 300), line("1871", 100, 900)])
    assert "page_number" not in dict(kinds([*paragraph(FIRST, 300), line("Ghent", 600, 1700)]))


def test_what_stands_beside_the_text_is_a_margin_note() -> None:
    body = paragraph([PROSE] * 8, 200, left=300)
    note = line("NB see p. 4", 60, 200 + 2 * STEP)
    assert kinds([note, *body])[0] == ("margin", ["NB see p. 4"])
    up = Line("read upwards", 0.9, ((60, 500), (60, 200), (90, 200), (90, 500)), ((88, 500), (88, 200)), ())
    assert kinds([*body, up])[-1] == ("margin", ["read upwards"])


@pytest.mark.parametrize("closing", ["Yours sincerely,", "Mit freundlichen Grüßen", "Kind regards", "Cordialement,"])
@pytest.mark.parametrize("gap", [1, 3])
def test_a_name_under_the_closing_words_is_a_signature(closing: str, gap: int) -> None:
    base = 200 + 5 * STEP
    lines = [*paragraph(FIRST, 200), line(closing, 100, base), line("Thomas Bell", 100, base + gap * STEP)]
    found = kinds(lines)
    assert found[-1] == ("signature", ["Thomas Bell"])
    assert found[-2][1] == [closing]


def test_a_page_without_lines_has_no_blocks() -> None:
    assert find_blocks([], 1240, 1754) == ()


def test_text_has_an_empty_line_between_blocks_and_json_has_none() -> None:
    lines = tuple(paragraph(FIRST[:1], 200) + paragraph(SECOND[:1], 400))
    page = Page("scan", 1, 1240, 1754, 0, lines, {}, {}, (Block("paragraph", (0,)), Block("paragraph", (1,))))
    assert page.to_text() == f"{FIRST[0]}\n\n{SECOND[0]}\n"
    assert page.text == page.to_dict()["text"] == f"{FIRST[0]}\n{SECOND[0]}"


def test_json_has_blocks() -> None:
    lines = tuple(table(RECEIPT[:2], 400))
    rows = ((Cell((0,)), Cell((1,))), (Cell((2,)), Cell(())))
    blocks = (Block("table", (0, 1, 2), rows=rows), Block("heading", (3,), level=2))
    found = Page("scan", 1, 1240, 1754, 0, lines, {}, {}, blocks).to_dict()["blocks"]
    assert found[0]["rows"] == [[[0], [1]], [[2], []]]
    assert found[0]["box"] == [100.0, 377.5, 798.0, 452.5]
    assert {key: found[1][key] for key in ("type", "lines", "level")} == {"type": "heading", "lines": [3], "level": 2}


def test_a_row_that_is_known_may_have_cells_of_several_lines() -> None:
    rows = [
        [["Title"], ["Description"], ["Year"]],
        [["Declaration of", "Independence"], ["Adopted by the Congress in", "Philadelphia."], ["1776"]],
        [["Bill of Rights"], ["Ten amendments."], ["1791"]],
    ]
    lines: list[Line] = []
    boxes = []
    base = 300.0
    for row in rows:
        for left, cell in zip((100, 400, 900), row, strict=True):
            lines += [line(text, left, base + STEP * place) for place, text in enumerate(cell)]
        last = base + STEP * (max(map(len, row)) - 1)
        boxes.append((100.0, base - STEP / 2, 1000.0, last + STEP / 4))
        base = last + 2 * STEP
    (table,) = find_blocks(lines, 1240, 1754, boxes)
    assert table.kind == "table"
    assert [[[lines[at].text for at in cell.lines] for cell in row] for row in table.rows] == rows
