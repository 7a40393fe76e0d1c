"""What is seen clearly stays where the language model knows little: letters of codes, capitals of entries."""

from collections.abc import Mapping

import numpy as np
import pytest

from paragraph_ocr.pipeline.clearly_seen import with_what_is_seen
from paragraph_ocr.pipeline.ctc import Character

CHARSET = " ,-./0123456789ºª°':$€()[]{}\\@" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
BLANK = len(CHARSET)


def restored(
    read: str, seen: Mapping[int, tuple[str | None, float]], missed: tuple[int, str, float] | None = None
) -> str:
    """A line as read, of whose characters some are seen as others, by their places, with so much of the probability.

    None among these is no character. `missed` is a character that is seen before a place and was not read.
    """
    output = np.full((2 * len(read) + 1, BLANK + 1), 1e-6)
    output[::2, BLANK] = 1.0
    characters = []
    for place, text in enumerate(read):
        step = 2 * place + 1
        other, share = seen.get(place, (" ", 0.0))
        output[step, BLANK if other is None else CHARSET.index(other)] = share
        output[step, CHARSET.index(text)] += (1.0 - share) * 0.995
        characters.append(Character(text, float(output[step, CHARSET.index(text)]), step, step))
    if missed:
        place, text, share = missed
        output[2 * place, [BLANK, CHARSET.index(text)]] = 1.0 - share, share
    found = with_what_is_seen(characters, np.log(np.maximum(output, 1e-6)).astype(np.float32), CHARSET, BLANK)
    assert [each.first for each in found] == sorted(each.first for each in found)
    return "".join(each.text for each in found)


@pytest.mark.parametrize(
    ("read", "seen", "text"),
    [
        ("874365", {2: ("A", 0.68)}, "87A365"),
        ("2769", {0: ("Q", 0.9)}, "Q769"),
        ("2734", {0: ("Z", 0.7)}, "Z734"),
        ("no 77608839.", {5: ("G", 0.9)}, "no 77G08839."),
        ("Vx4H-6750", {8: ("c", 0.8)}, "Vx4H-675c"),
        ("10/59", {2: ("Y", 0.75)}, "10Y59"),
        ("22831", {4: ("/", 0.7)}, "2283/"),
    ],
)
def test_a_letter_of_a_code_stays_a_letter(read: str, seen: dict[int, tuple[str, float]], text: str) -> None:
    assert restored(read, seen) == text


@pytest.mark.parametrize(
    ("read", "seen", "text"),
    [
        ("total 1.46", {9: ("G", 0.6)}, "total 1.4G"),
        ("ana 2.1k Jan", {7: ("K", 0.8)}, "ana 2.1K Jan"),
        ("1 kg 2500 9", {10: ("g", 0.6)}, "1 kg 2500 g"),
    ],
)
def test_the_unit_after_a_number_is_a_letter_where_it_is_seen(
    read: str, seen: dict[int, tuple[str, float]], text: str
) -> None:
    assert restored(read, seen) == text


@pytest.mark.parametrize(
    ("read", "seen"),
    [
        ("total 1.46", {9: ("G", 0.45)}),
        ("of 2500 9", {8: ("q", 0.8)}),
        ("from 9 to", {5: ("g", 0.8)}),
        ("on 1.2.46", {8: ("G", 0.6)}),
    ],
)
def test_figures_after_numbers_stay_where_no_unit_is_seen(read: str, seen: dict[int, tuple[str, float]]) -> None:
    assert restored(read, seen) == read


def test_no_bracket_begins_a_word_where_an_initial_is_seen() -> None:
    assert restored("Abbott ), 14", {7: ("J", 0.52)}) == "Abbott J, 14"
    assert restored("a (b ) c", {5: ("J", 0.52)}) == "a (b ) c"
    assert restored("part A) of", {6: ("J", 0.52)}) == "part A) of"


def test_a_one_alone_is_a_one_where_it_is_seen() -> None:
    """Of a dictionary, "hard adj. 1 firm" was read as I, which prose has more often."""
    assert restored("adj. I firm", {5: ("1", 0.8)}) == "adj. 1 firm"
    assert restored("adj. l firm", {5: ("1", 0.8)}) == "adj. 1 firm"
    for read, seen in (("and I know", {4: ("1", 0.6)}), ("and I know", {4: ("l", 0.9)}), ("King Il", {5: ("1", 0.9)})):
        assert restored(read, seen) == read


@pytest.mark.parametrize(
    ("read", "seen"),
    [
        ("874365", {2: ("A", 0.45)}),
        ("11", {0: ("I", 0.8), 1: ("I", 0.8)}),
        ("200", {2: ("O", 0.8)}),
        ("5297", {2: ("g", 0.8)}),
        ("8", {0: ("B", 0.9)}),
        ("22/05/02", {5: ("I", 0.9)}),
        ("1,28", {1: ("J", 0.9)}),
        ("GB61103", {4: ("/", 0.55)}),
    ],
)
def test_what_is_unsure_or_looks_like_a_figure_stays(read: str, seen: dict[int, tuple[str, float]]) -> None:
    assert restored(read, seen) == read


@pytest.mark.parametrize(
    ("read", "missed", "text"),
    [
        ("9", (1, "K", 0.9), "9K"),
        ("W383 b", (0, "J", 0.7), "JW383 b"),
        ("7809", (2, "E", 0.9), "78E09"),
        ("a 634", (5, "r", 0.9), "a 634r"),
        ("W383", (0, "J", 0.3), "W383"),
        ("22/05/02", (3, "/", 0.9), "22/05/02"),
        ("page", (0, "J", 0.9), "page"),
    ],
)
def test_a_letter_of_a_code_is_not_left_out(read: str, missed: tuple[int, str, float], text: str) -> None:
    assert restored(read, {}, missed) == text


@pytest.mark.parametrize(
    ("read", "seen", "text"),
    [
        ("von allem", {0: ("V", 0.8)}, "Von allem"),
        ("von allem", {0: ("V", 0.55)}, "von allem"),
        ("Von allem", {0: ("v", 0.8)}, "Von allem"),
        ("p. allem", {0: ("P", 0.8)}, "p. allem"),
        ("x4 allem", {0: ("X", 0.8)}, "x4 allem"),
    ],
)
def test_a_line_begins_with_the_capital_that_is_seen(read: str, seen: dict[int, tuple[str, float]], text: str) -> None:
    assert restored(read, seen) == text


def test_an_unsure_line_of_handwriting_begins_as_the_language_has_it() -> None:
    assert restored("von allem", {0: ("V", 0.8), 4: ("e", 0.2), 6: ("e", 0.3)}) == "von allem"


@pytest.mark.parametrize(
    ("read", "missed", "text"),
    [
        ("Fatura n.: 82", (9, "º", 0.3), "Fatura n.º: 82"),
        ("N.", (2, "º", 0.12), "N.º"),
        ("Calle 3., 2", (8, "ª", 0.2), "Calle 3.ª, 2"),
        ("Ann. 3", (4, "º", 0.3), "Ann. 3"),
        ("N. Gray", (2, "º", 0.05), "N. Gray"),
    ],
)
def test_the_ordinal_sign_of_a_number_is_not_left_out(read: str, missed: tuple[int, str, float], text: str) -> None:
    assert restored(read, {}, missed) == text


@pytest.mark.parametrize(
    ("read", "likely", "text"),
    [
        ("n': 12", 0.04, "n°: 12"),
        ("N'", 0.3, "N°"),
        ("n'est", 0.3, "n'est"),
        ("n'", 0.01, "n'"),
        ("an' 2", 0.3, "an' 2"),
    ],
)
def test_the_degree_sign_of_a_number_is_no_apostrophe(read: str, likely: float, text: str) -> None:
    assert restored(read, {read.index("'"): ("°", likely)}) == text


@pytest.mark.parametrize(
    ("read", "seen", "text"),
    [
        ("a 51,299.99", {2: ("$", 0.8)}, "a $1,299.99"),
        ("51,299.99", {0: ("$", 0.4)}, "51,299.99"),
        ("5 a", {0: ("$", 0.8)}, "5 a"),
        ("C:userslanna", {7: ("\\", 0.7)}, "C:users\\anna"),
        ("C:userslanna", {7: ("\\", 0.45)}, "C:userslanna"),
        ("userslanna", {5: ("\\", 0.7)}, "userslanna"),
        ("userl anna", {4: ("\\", 0.7)}, "userl anna"),
    ],
)
def test_signs_that_are_clearly_seen_stay(read: str, seen: dict[int, tuple[str, float]], text: str) -> None:
    assert restored(read, seen) == text


@pytest.mark.parametrize(
    ("read", "seen", "text"),
    [
        ("{x)", {2: ("}", 0.2)}, "{x}"),
        ("[183) a", {4: ("]", 0.1)}, "[183] a"),
        ("a [359) 851", {2: ("(", 0.3)}, "a (359) 851"),
        ("14]", {0: ("[", 0.1)}, "[4]"),
        # What belongs together, and what cannot be otherwise.
        ("(see [4] a)", {}, "(see [4] a)"),
        ("[183) a", {}, "[183) a"),
        ("14]", {}, "14]"),
        ("1) a", {0: ("(", 0.3)}, "1) a"),
    ],
)
def test_a_bracket_ends_with_one_of_its_kind(read: str, seen: dict[int, tuple[str, float]], text: str) -> None:
    assert restored(read, seen) == text


def test_addresses_have_no_spaces_that_are_unsure() -> None:
    assert restored("www. a.com", {4: (None, 0.8)}) == "www.a.com"
    assert restored("j. van@mail.com", {2: (None, 0.8)}) == "j.van@mail.com"
    assert restored("j. van@mail.com", {}) == "j. van@mail.com"
    assert restored("mail. Then a", {5: (None, 0.8)}) == "mail. Then a"


def test_a_figure_of_an_unsure_line_of_handwriting_stays() -> None:
    assert restored("p. 42 a", {3: ("H", 0.8)}) == "p. H2 a"
    assert restored("p. 42 a", {3: ("H", 0.8), 0: ("b", 0.3), 6: ("o", 0.3)}) == "p. 42 a"


@pytest.mark.parametrize(
    ("read", "missed", "text"),
    [
        ("they called it home", (15, "'", 0.8), "they called it 'home"),
        ("they called it home", (11, "'", 0.8), "they called' it home"),
        ("they called it home", (19, "'", 0.7), "they called it home'"),
        ("they called it home", (0, "'", 0.7), "'they called it home"),
        # Within a word it is the edge of a letter, and otherwise no more than possible.
        ("they called it home", (8, "'", 0.9), "they called it home"),
        ("they called it home", (15, "'", 0.4), "they called it home"),
        # A mark that was read is seen once.
        ("they called it 'home", (15, "'", 0.8), "they called it 'home"),
    ],
)
def test_quotation_marks_around_words_are_put_back(read: str, missed: tuple[int, str, float], text: str) -> None:
    assert restored(read, {}, missed) == text


def test_no_quotation_marks_are_put_into_lines_that_are_unsure() -> None:
    unsure = dict.fromkeys((0, 1, 2, 5, 6, 7, 8, 9), ("x", 0.3))
    assert restored("they called it home", unsure, (15, "'", 0.8)) == "they called it home"


@pytest.mark.parametrize(
    ("read", "place", "sign", "share", "text"),
    [
        ("No 12", 1, "°", 0.7, "N° 12"),
        ("le no de tel", 4, "°", 0.7, "le n° de tel"),
        ("No12", 1, "º", 0.7, "Nº12"),
        ("No 12", 1, "°", 0.3, "No 12"),
        ("Yes no 12", 5, "°", 0.7, "Yes n° 12"),
        # Only the abbreviation has it.
        ("mono 12", 3, "°", 0.7, "mono 12"),
        ("to 12", 1, "°", 0.7, "to 12"),
    ],
)
def test_the_sign_of_a_number_is_put_back(read: str, place: int, sign: str, share: float, text: str) -> None:
    assert restored(read, {place: (sign, share)}) == text


def test_addresses_stay_without_the_spaces_that_are_not_seen() -> None:
    # The recogniser sees no character where these spaces were read.
    for read, false, text in (
        ("mail maia 92@lou.net,", [9], "mail maia92@lou.net,"),
        ("loureiro-co @lacerda.co.uk", [11], "loureiro-co@lacerda.co.uk"),
        ("see www.dust mail.org", [12], "see www.dustmail.org"),
        ("at 3 @ 5 a. b", [4, 6], "at 3 @ 5 a. b"),
    ):
        assert restored(read, dict.fromkeys(false, (None, 0.9))) == text


def test_what_is_seen_of_an_address_is_taken_with_its_letters_where_it_was_read_with_a_space() -> None:
    assert restored("simoest sousa@pires.eu", {6: ("-", 0.9), 7: (None, 0.9)}) == "simoes-sousa@pires.eu"
    assert restored("simoestsousa@pires.eu", {6: ("-", 0.9)}) == "simoestsousa@pires.eu"
