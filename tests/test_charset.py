"""The charset file: one line, every character once, all that the reader promises to write."""

import unicodedata
from pathlib import Path

CHARSET = Path(__file__).parents[1] / "training" / "charset.txt"


def characters() -> str:
    return CHARSET.read_text(encoding="utf-8").removesuffix("\n")


def test_is_one_line_starting_with_space_and_printable_ascii() -> None:
    text = characters()
    assert "\n" not in text
    assert text.startswith("".join(map(chr, range(0x20, 0x7F))))


def test_has_no_duplicates_and_only_single_composed_characters() -> None:
    text = characters()
    assert len(set(text)) == len(text)
    assert unicodedata.normalize("NFC", text) == text
    assert not [character for character in text if unicodedata.combining(character)]


def test_covers_french_money_quotes_and_dashes() -> None:
    french = "àâäæçéèêëîïôöœùûüÿ"
    assert set(french + french.upper() + "€£°§«»‘’“”„–—") <= set(characters())
