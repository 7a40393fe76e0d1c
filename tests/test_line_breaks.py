"""Line breaks of verse and addresses are told from those of prose."""

import textwrap

import pytest

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.blocks import find_blocks
from paragraph_ocr.pipeline.line_breaks import find_hard_breaks
from paragraph_ocr.pipeline.placement import place_lines, width_of_text

SIZE, STEP, LETTER = 30.0, 45.0, 14.0
PROSE = (
    "Im Jahre 1848 kam der Vater nach Breslau, wo er ein Haus in der Nähe des Marktes kaufte und mit dem Handel von "
    "Leinen begann. Die Mutter, eine Frau von großer Güte, führte die Bücher. Alle Kinder besuchten die Schule am Dom, "
    "bis der Krieg kam und das Geschäft geschlossen wurde. Niemand wusste, wie es weitergehen sollte."
)
WIDE = "This line of text reaches from one edge of the page to the other, as those of a letter do"


def line(text: str, base: float, left: float = 100) -> Line:
    right = left + LETTER * width_of_text(text)
    top, bottom = base - 0.75 * SIZE, base + 0.25 * SIZE
    return Line(
        text, 0.9, ((left, top), (right, top), (right, bottom), (left, bottom)), ((left, base), (right, base)), ()
    )


def broken(texts: list[str], lefts: list[float] | None = None, *others: Line) -> str:
    """Text of a block with the breaks that are found; `others` stand elsewhere on the page."""
    lefts = lefts or [100.0] * len(texts)
    lines = [line(text, 300 + STEP * row, left) for row, (text, left) in enumerate(zip(texts, lefts, strict=True))]
    breaks = find_hard_breaks(place_lines([*lines, *others]), range(len(texts)))
    assert len(texts) - 1 not in breaks
    return "".join(text + ("\n" if row in breaks else " ") for row, text in enumerate(texts)).rstrip()


@pytest.mark.parametrize("width", [22, 36, 50, 75])
@pytest.mark.parametrize("indent", [0, 60])
def test_prose_flows(width: int, indent: int) -> None:
    """Also in German, where a third of the words begin with a capital, and on a page with wider text."""
    texts = textwrap.wrap(PROSE, width)
    lefts = [100.0 + indent, *[100.0] * (len(texts) - 1)]
    assert broken(texts, lefts) == broken(texts, lefts, line(WIDE, 1500)) == PROSE


def test_ragged_handwriting_flows() -> None:
    texts = [
        "I have been to the market with",
        "our neighbour and bought two",
        "baskets of apples for the",
        "children, who like them very",
        "much. It rained on the way",
        "home.",
    ]
    assert broken(texts) == " ".join(texts)


ADDRESS = ["Pedroza, S.A.", "Avda. de Torrejón de Ardoz, 189", "27527 Reus", "www.pedroza.example"]


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_an_address_keeps_its_lines(rows: int) -> None:
    """Also if the second line is the longer one of two, since the page is wider."""
    texts = ADDRESS[:rows]
    assert broken(texts, None, line(WIDE, 1500)) == "\n".join(texts)


@pytest.mark.parametrize("share", [0.5, 1.0], ids=["centred", "at the right"])
def test_a_letterhead_keeps_its_lines(share: float) -> None:
    texts = ["Tasche KG", "Ratiborer Str. 5", "D-45130 Minden"]
    lefts = [100 + share * LETTER * (width_of_text(WIDE) - width_of_text(text)) for text in texts]
    assert broken(texts, lefts, line(WIDE, 1500)) == "\n".join(texts)


def test_text_beside_a_block_bounds_its_column() -> None:
    """A narrow column of two lines has no room for a word, though the page is wide."""
    texts = ["Die Mutter, eine gute", "Frau aus Breslau, sang"]
    beside = [line(WIDE[:50], 300 + STEP * row, 420) for row in range(2)]
    assert broken(texts, None, *beside, line(WIDE, 1500)) == " ".join(texts)


VERSE = [
    "Unter der Brücke",
    "Kein Laut,",
    "Auf ihrem Stücke",
    "Moos, ergraut,",
    "Sitzt eine Frau",
    "Die Enten ziehen langsam im Wasser.",
    "Bald wird es blasser",
    "Das Abendblau.",
]


def test_verse_keeps_its_lines() -> None:
    assert broken(VERSE) == "\n".join(VERSE)


SONNET = [
    "The kettle sings before the house is up,",
    "And someone on the stairs forgets her shoe;",
    "A spoon goes round the bottom of a cup,",
    "Till all that was to say is said by two.",
    "The letters on the table wait for ink,",
    "As though the morning had no end to write,",
    "And every word is weighed before a drink,",
    "Or folded, sealed, and carried out of",
    "daylight:",
    "So pass the hours that nobody will count,",
    "I think, nor any ledger will record them,",
    "Nor clerk will add their slow and small",
]


def test_verse_of_even_lines_keeps_them_and_its_runovers_flow() -> None:
    assert broken(SONNET) == "\n".join(SONNET).replace("of\nday", "of day")


def test_a_list_of_short_lines_keeps_them() -> None:
    """In small letters, too: only the longest line leaves no room."""
    texts = ["milk", "eggs", "brown bread", "soap", "2 lemons", "tea"]
    assert broken(texts) == "\n".join(texts)
    assert broken(["eggs", "bread and butter", "milk", "tea"], None, line(WIDE, 1500)).count("\n") == 3


def test_a_salutation_and_the_end_of_a_paragraph_break_prose() -> None:
    texts = [
        "Dear Mr. Harris,",
        "Thank you for the letter that you wrote to us in May, and which",
        "came while we were still at the seaside, so that it could not be",
        "answered before.",
        "We shall send the parcel as soon as the weather is better, and",
        "hope that you will like it.",
    ]
    assert broken(texts) == f"{texts[0]}\n{' '.join(texts[1:4])}\n{' '.join(texts[4:])}"


def test_a_divided_word_ends_no_line() -> None:
    texts = ["Unter der Brü-", "cke", "Kein Laut", "Auf ihrem Stücke", "Moos, ergraut"]
    assert broken(texts).startswith("Unter der Brü- cke\n")


def test_a_signature_has_a_line_for_each_part() -> None:
    lines = [line("Yours sincerely,", 300), line("Thomas Bell", 420), line("secretary", 420 + STEP)]
    *_, last = find_blocks(lines, 1240, 1754)
    assert (last.kind, last.lines, last.hard_breaks) == ("signature", (1, 2), (1,))


def test_lines_in_pieces_break_after_the_last() -> None:
    lines = [
        line("Anna", 300),
        line("Bell", 300, 200),
        line("12 Mill Lane", 345),
        line("Exeter", 390),
        line(WIDE, 1500),
    ]
    assert find_hard_breaks(place_lines(lines), (0, 1, 2, 3)) == (1, 2)
