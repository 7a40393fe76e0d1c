"""Line breaks of verse and addresses are told from those of prose."""

import textwrap

import pytest

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.blocks import find_blocks
from paragraph_ocr.pipeline.line_breaks import find_entries, find_hard_breaks, find_verse
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


STANZAS = [
    ["A lamp is lit behind the lowest pane,", "And someone counts the buttons on a coat,"],
    ["The gutters speak of nothing else but rain,", "Of rope, of oars, of one upturned boat,"],
    ["No letter comes, and none was ever sent,", "Yet every day the postman climbs the hill,"],
    ["To ask the empty house about its rent,", "as though its walls were listening to him"],
    ["Between the clocks the evening comes and goes,", "And leaves a little dust upon the sill,"],
    ["The cat has found the only chair it knows,", "And what was moving in the room is still,"],
]


def stanzas(texts: list[list[str]]) -> list[bool]:
    lines = [
        line(text, 300 + 180 * number + STEP * row) for number, own in enumerate(texts) for row, text in enumerate(own)
    ]
    ends = [len(own) for own in texts]
    blocks = [range(sum(ends[:number]), sum(ends[: number + 1])) for number in range(len(ends))]
    return find_verse(place_lines(lines), blocks)


def test_stanzas_are_told_together() -> None:
    """Two lines have too few breaks to tell; one that begins with a small letter is none of them."""
    assert stanzas(STANZAS) == [False] * 6
    assert stanzas([one + other for one, other in zip(STANZAS[::2], STANZAS[1::2], strict=True)]) == [True] * 3
    prose = textwrap.wrap(PROSE, 50)
    assert not any(stanzas([prose[start : start + 2] for start in range(0, len(prose), 2)]))


def test_a_stanza_keeps_its_lines_but_for_runovers() -> None:
    """Also where the first letter of a long line was read as a small one."""
    texts = [*STANZAS[0], *STANZAS[3], "soon,", *STANZAS[2]]
    lines = [line(text, 300 + STEP * row) for row, text in enumerate(texts)]
    assert find_hard_breaks(place_lines(lines), range(7), is_stanza=True) == (0, 1, 2, 4, 5)


ENTRIES = [
    ["Sauret (Auguste René) à Paris 38 rue Lacroix à", "Mme Marie Madeleine Churcier son épouse"],
    [
        "Philippe (Barthélemy Charles) et Mme Marie",
        "Rehouf à Paris, rue des Chartreux 14, pour M. de",
        "Charles François",
    ],
    ["Gros p. Armand à Paris R. St Placide"],
    ["Jenner (Édouard Adolphe) et Mme Marie Cardis à", "Nice, Av. Aubert 12, à M. Eugène Vigneron, rue", "Nationale"],
]


def register(entries: list[list[str]], numbered: int = 1) -> tuple[list[Line], range]:
    """A column of entries, and numbers beside the first lines of them, or beside every few lines."""
    texts = [text for entry in entries for text in entry]
    firsts = {sum(map(len, entries[:number])) for number in range(len(entries))}
    lines = [line(text, 300 + STEP * row, 300) for row, text in enumerate(texts)]
    marked = firsts if numbered == 1 else set(range(0, len(texts), numbered))
    numbers = [line(str(1344 + row), 300 + STEP * row + 4) for row in sorted(marked)]
    return [*lines, *numbers], range(len(texts))


def test_a_register_breaks_between_its_entries() -> None:
    lines, block = register(ENTRIES)
    placed = place_lines(lines)
    entries = find_entries(placed, [block])
    assert entries == {2, 5, 6}
    assert find_hard_breaks(placed, block, entries) == (1, 4, 5)


def test_names_at_the_start_of_lines_break_none() -> None:
    """In a register without numbers, many words have capitals, so that those of the lines tell nothing."""
    texts = ENTRIES[0] + ENTRIES[1] + ENTRIES[3]
    lines = [line(text, 300 + STEP * row) for row, text in enumerate(texts)]
    breaks = find_hard_breaks(place_lines(lines), range(len(texts)))
    assert set(breaks) <= {1, 4}


@pytest.mark.parametrize("step", [1, 3, 5])
def test_numbers_of_lines_are_no_entries(step: int) -> None:
    """As of legal paper, or in the margin of every fifth line."""
    texts = textwrap.wrap(PROSE * 3, 40)
    lines = [line(text, 300 + STEP * row, 300) for row, text in enumerate(texts)]
    numbers = [line(str(row + 1), 300 + STEP * row) for row in range(0, len(texts), step)]
    placed = place_lines([*lines, *numbers])
    assert find_entries(placed, [range(len(texts))]) == frozenset()


def test_the_column_of_a_block_is_as_wide_as_its_next_line() -> None:
    """Two lines of a register with a free column at their right, and the next entry below them."""
    texts = ["47 Insc. hyp. c. Thoury Louis Manuel et", "Maria Pauline Lupin son ép. à Antony"]
    below = line("Bruller p. Denise Berthe Marie ép. de", 300 + 2 * STEP)
    assert broken(texts, None, below, line(WIDE, 1500)) == " ".join(texts)


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
