"""Put the text lines of a page into the order in which they are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine, slope_of
from paragraph_ocr.pipeline.leaders import TEXT_GAP, Leader
from paragraph_ocr.pipeline.ruling import Rule, RuledTable, ruled_tables

# So many amounts make a column, if from each to what it is for it is at least this share of the row, and if they are
# at least this share of the lines in it.
MIN_AMOUNTS, AMOUNT_GAP, AMOUNT_SHARE = 4, 0.2, 0.5
# So many cells of a column, and this share of them numbers, make it one of a table whose rows are read across.
MIN_CELLS, NUMBER_SHARE = 2, 0.5
# Two columns of words are those of one table if at least so many rows of both, and this share of them, are beside each
# other, and both are in rows with numbers; or if so many rows are, and one of the two is.
MIN_WORD_ROWS, MANY_WORD_ROWS, ROW_SHARE = 3, 6, 0.8
# Columns of prose have at least so many lines, and of all lines at most this share goes across the gutter.
MIN_PROSE_LINES, MAX_CROSSING_SHARE = 4, 0.2
# Lines of prose have at least so many characters, and this share of a column's are nearly as long as its longest.
PROSE_CHARACTERS, PROSE_SHARE, NEARLY = 18, 0.6, 0.85
# Between two rules of a table, a distance between lines that is so many times the smallest one, or so many ascenders,
# parts two rows; columns of at least so many lines on the same levels have a row on each level.
ROW_GAP, ROW_ASCENDERS, MIN_ROWS = 1.4, 2.8, 3
# Rules at most so many ascenders apart are those of ruled paper, unless this share of what is between two of them has
# several cells, and these are shorter than prose.
MAX_PAPER_PITCH, MIN_FULL_ROWS = 2.8, 0.85
# So many rows at most stand alone at the right, so many ascenders or more from what is at the left.
MAX_ALONE, ALONE_GAP = 4, 4.0
# The distance of a footer or a page number from the columns, in distances between their lines.
FOOTER_GAP = 1.6
# Rows of cards are apart by so many of the largest distances between two lines of a card.
CARD_GAP = 2.0
# A bar of links at the top or the bottom of a page has so many lines at least, on one level within so many ascenders,
# with such a gap to all others, and this share of the width of all lines.
BAR_LINES, BAR_LEVEL, BAR_GAP, BAR_WIDTH = 4, 1.2, 2.5, 0.6
# The value of a field stands on a rule: so far above it or below it, and so far from its start; the rule goes on beyond
# the value by so much, as no underline does. In ascenders.
FIELD_ABOVE, FIELD_BELOW, FIELD_START, FIELD_REST = 0.7, 0.3, 1.5, 1.0
# A line belongs to the wider one above it, as those of a letterhead do, if their middles are so near to each other, it
# is so near below it, and nothing stands beside it under that one. In ascenders of the larger.
CENTRED, UNDER_HEADING = 0.5, 2.5
# What is farther below the line above it, in ascenders, does not go on the column of that line, if nothing stands
# beside it at about its level.
COLUMN_GAP, BESIDE_LEVEL = 6.0, 1.5
# Two pieces of a line that something crosses are so near to each other and to the line above, in ascenders, and one is
# so many times as tall as the other at most.
BROKEN_GAP, NEXT_LINE, ALIKE = 4.0, 2.8, 1.5
# The number, letter or bullet of a list's item, and its maximum distance from the item in ascenders.
MARKER_GAP = 5.0
MARKER = re.compile(r"\s*(?:\(?(?:\d{1,3}|[a-zA-Z])[.)]|[-–—•·*▪◦‣●○□☐])\s*")

# The day and the month, or the day of the week, of an entry of a diary.
DATE = re.compile(
    r"\s*(?:\d{1,2}(?:\.|st|nd|rd|th)?\s+[^\W\d]{3,9}|[^\W\d]{2,9}[.,]?\s+\d{1,2}(?:st|nd|rd|th)?)[.,:]?\s*"
)

# A time of day, with the ticks of a message that has arrived.
CLOCK = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?:\s?[ap]\.?m\.?)?(?:\s*[^\d\s]{1,3})?", re.IGNORECASE)
# Messages of a conversation: their least number of times, how near the levels of lines beside each other are in
# ascenders, and how many of these pairs have no time, as a share of the times.
MIN_CLOCKS, ON_LEVEL, WITHOUT_CLOCK = 3, 0.8, 0.25


class Order(NamedTuple):
    """Places of lines in reading order, and those in each row that rules of a table tell."""

    lines: list[int]
    rows: list[list[int]]


def reading_order(lines: list[TextLine], texts: Sequence[str] = ()) -> list[int]:
    """Lines top to bottom, columns left to right (Breuel 2003), whether or not white bands part the columns.

    Of lines one above the other the upper comes first. Of lines beside each other the left one does, with all that
    stands above and below it, up to a line that spans both; but not before what is above all of that. Tables, which
    columns of numbers or of short answers tell, are read row by row, and a row of boxes for letters after its label.

    Parameters
    ----------
    lines : list of TextLine
    texts : sequence of str
        What was read of each, or nothing.

    Returns
    -------
    list of int
        Places in `lines`.
    """
    lines = _levelled(lines)
    above, body, below = _bars(lines)
    order = list(above)
    for block in _blocks(lines, texts, body) if texts else [body]:
        within = _order_of_block([lines[index] for index in block], [texts[index] for index in block] if texts else ())
        order += [block[place] for place in within]
    return order + below


def _messages(lines: list[TextLine], texts: Sequence[str]) -> list[int] | None:
    """Places of the lines of a conversation from the top down; None for other pages.

    Nothing stands beside a message but the time at which it was sent.
    """
    clocks = np.array([bool(CLOCK.fullmatch(text.strip())) for text in texts], bool)
    sent = sum(bool(CLOCK.fullmatch(text.rpartition(" ")[2])) for text in texts)
    if max(int(clocks.sum()), sent) < MIN_CLOCKS:
        return None
    starts, ends = _ends(lines)
    levels = np.array([_level(line) for line in lines])
    ascender = float(np.median([line.ascender for line in lines]))
    beside = (ends[:, None, 0] <= starts[None, :, 0]) & (np.abs(levels[:, None] - levels) < ON_LEVEL * ascender)
    if (beside & ~clocks[:, None] & ~clocks).sum() > WITHOUT_CLOCK * max(int(clocks.sum()), sent):
        return None
    # What stands beside a line is read with it, from the left.
    rows: list[list[int]] = []
    for index in np.argsort(levels, kind="stable").tolist():
        if rows and any(beside[index, other] or beside[other, index] for other in rows[-1]):
            rows[-1].append(index)
        else:
            rows.append([index])
    return [index for row in rows for index in sorted(row, key=lambda index: float(starts[index, 0]))]


def _bars(lines: list[TextLine]) -> tuple[list[int], list[int], list[int]]:
    """Places of the lines of a bar at the top and of one at the bottom, left to right, and of those between them.

    A bar, as of the links of a web page, is a row far from all other lines, most of which do not stand below or above
    it as the columns of a table do.
    """
    body = list(range(len(lines)))
    if len(lines) <= 2 * BAR_LINES:
        return [], body, []
    starts, ends = _ends(lines)
    levels = np.array([_level(line) for line in lines])
    ascender = float(np.median([line.ascender for line in lines]))
    width = float(ends[:, 0].max() - starts[:, 0].min())
    edges = np.stack([starts[:, 0], (starts[:, 0] + ends[:, 0]) / 2, ends[:, 0]])
    by_level = np.argsort(levels, kind="stable")
    found: list[list[int]] = []
    for side in (by_level, by_level[::-1]):
        steps = np.abs(np.diff(levels[side]))
        count = int(np.argmax(steps > BAR_LEVEL * ascender)) + 1
        row, others = side[:count][np.argsort(starts[side[:count], 0])], side[count:]
        columns = (np.abs(edges[:, row, None] - edges[:, None, others]) < ascender / 2).sum(axis=2)
        aligned = (columns >= MIN_CELLS).any(axis=0)
        is_bar = (
            count >= BAR_LINES
            and steps[count - 1] >= BAR_GAP * ascender
            and ends[row, 0].max() - starts[row, 0].min() >= BAR_WIDTH * width
            and 2 * aligned.sum() <= count
            and (ends[row[:-1], 0] < starts[row[1:], 0]).all()
        )
        found.append(row.tolist() if is_bar else [])
    above, below = found
    return above, [index for index in body if index not in above and index not in below], below


def order_between_rules(
    lines: list[TextLine], texts: Sequence[str], rules: Sequence[Rule], leaders: Sequence[Leader] = ()
) -> Order:
    """Return the reading order of a page where horizontal rules may part the rows of tables.

    Between two rules of a table that has lines beside each other, rows are read one after the other, and a row cell by
    cell; all else is in `reading_order`. What stands on a rule of its own, as the value of a field, follows its label.
    The messages of a conversation, at the left and the right in turn, are read from the top down.

    Parameters
    ----------
    lines : list of TextLine
    texts : sequence of str
        What was read of each.
    rules : sequence of Rule
    leaders : sequence of Leader
        What follows one is read after what is before it, so that lists with leaders stay columns.
    """
    if lines and leaders and len(entries := _across_leaders(lines, leaders)) < len(lines):
        whole = [_from_end_to_end(lines[entry[0]], lines[entry[-1]]) for entry in entries]
        inner = order_between_rules(whole, [texts[entry[0]] for entry in entries], rules)
        return Order(
            [index for place in inner.lines for index in entries[place]],
            [[index for place in row for index in entries[place]] for row in inner.rows],
        )
    if lines and (messages := _messages(_levelled(lines), texts)) is not None:
        return Order(messages, [])
    lines = [replace(line, boxed=True) if _is_field(line, rules) else line for line in lines]
    middles = np.array([line.baseline.mean(axis=0) - (0.0, line.ascender / 3) for line in lines], np.float64)
    units: list[list[int]] = []
    rows: list[list[int]] = []
    tables = ruled_tables(rules, middles) if rules and lines else []
    for table in tables:
        if _is_ruled_paper(table, lines, texts):
            continue
        bands = [band for band in table.rows if len(_cells([lines[index] for index in band])) > 1]
        for band in bands:
            own, own_texts = [lines[index] for index in band], [texts[index] for index in band]
            if len(bands) == 1 and _gutter(_levelled(own), own_texts, list(range(len(own)))) is not None:
                # Columns of prose between two rules, as of a newspaper, are no cells of a row.
                units.append([band[place] for place in reading_order(own, own_texts)])
                continue
            order, parts = _order_of_row(own, own_texts)
            units.append([band[place] for place in order])
            rows += [[band[place] for place in part] for part in parts]
    if not units:
        return Order(reading_order(lines, texts), [])
    # What is between two rules is put in order as if it was one line.
    units = _rows_of_cards(units, lines)
    taken = {index for unit in units for index in unit}
    units = [[index] for index in range(len(lines)) if index not in taken] + units
    whole = [_as_one_line([lines[index] for index in unit]) for unit in units]
    order = reading_order(whole, [" ".join(texts[index] for index in unit) for unit in units])
    return Order([index for place in order for index in units[place]], rows)


def _across_leaders(lines: Sequence[TextLine], leaders: Sequence[Leader]) -> list[list[int]]:
    """The lines, each alone, but those that leaders connect together, left to right."""
    starts, ends = _ends(lines)
    heights = np.array([line.ascender for line in lines])
    following: dict[int, int] = {}
    for leader in leaders:
        half = leader.slope * (leader.right - leader.left) / 2
        sides = []
        for gap, points, level in (
            (leader.left - ends[:, 0], ends, leader.level - half),
            (starts[:, 0] - leader.right, starts, leader.level + half),
        ):
            near = (gap > -heights) & (gap <= TEXT_GAP * heights) & (np.abs(points[:, 1] - level) <= heights / 2)
            sides.append(int(np.argmin(np.where(near, gap, np.inf))) if near.any() else None)
        left, right = sides
        if left is not None and right is not None and starts[left, 0] < starts[right, 0]:
            following.setdefault(left, right)
    entries = []
    for index in set(range(len(lines))).difference(following.values()):
        entry = [index]
        while (after := following.get(entry[-1])) is not None:
            entry.append(after)
        entries.append(entry)
    return entries


def _from_end_to_end(first: TextLine, last: TextLine) -> TextLine:
    """A line from the beginning of one to the end of another one."""
    return first if first is last else replace(first, baseline=np.stack([first.baseline[0], last.baseline[-1]]))


def _is_field(line: TextLine, rules: Sequence[Rule]) -> bool:
    """Whether a line stands on a rule that begins with it and goes on beyond it."""
    (left, _), (right, _) = line.baseline[0].tolist(), line.baseline[-1].tolist()
    tall = line.ascender
    return any(
        abs(left - rule.left) <= FIELD_START * tall
        and rule.right >= right + FIELD_REST * tall
        and -FIELD_BELOW * tall <= rule.level((left + right) / 2) - _level(line) <= FIELD_ABOVE * tall
        for rule in rules
    )


def _is_ruled_paper(table: RuledTable, lines: Sequence[TextLine], texts: Sequence[str]) -> bool:
    """Whether rules are at the distance of lines of text, and what is between them is no table of short cells."""
    within = [index for row in table.rows for index in row]
    if not within or table.pitch > MAX_PAPER_PITCH * float(np.median([lines[index].ascender for index in within])):
        return False
    several = sum(len(_cells([lines[index] for index in row])) > 1 for row in table.rows)
    length = float(np.median([len(texts[index]) for index in within]))
    return several < MIN_FULL_ROWS * len(table.rows) or length >= PROSE_CHARACTERS


def _rows_of_cards(units: list[list[int]], lines: Sequence[TextLine]) -> list[list[int]]:
    """Units of lines, of which those are joined that are cards beside each other, left to right.

    Cards, as of the goods in a shop, stand in rows and columns, and the rows are far apart.
    """
    if len(units) < 4:
        return units
    levels = [sorted(_level(lines[index]) for index in unit) for unit in units]
    lefts = [min(float(lines[index].baseline[0, 0]) for index in unit) for unit in units]
    ascender = float(np.median([lines[index].ascender for unit in units for index in unit]))
    rows: list[list[int]] = []
    for place in sorted(range(len(units)), key=lambda place: levels[place][0]):
        if rows and levels[place][0] - levels[rows[-1][0]][0] <= ascender:
            rows[-1].append(place)
        else:
            rows.append([place])
    rows = [sorted(row, key=lambda place: lefts[place]) for row in rows]
    first = [lefts[place] for place in rows[0]]
    within = max(float(np.diff(own).max(initial=0)) for own in levels)
    gaps = [
        min(levels[place][0] for place in lower) - max(levels[place][-1] for place in upper)
        for upper, lower in pairwise(rows)
    ]
    is_grid = len(first) > 1 and all(
        len(row) <= len(first)
        and np.abs(np.subtract([lefts[place] for place in row], first[: len(row)])).max() <= ascender
        for row in rows
    )
    if not gaps or not is_grid or within <= ascender / 2 or min(gaps) < CARD_GAP * within:
        return units
    return [[index for place in row for index in units[place]] for row in rows]


def _as_one_line(lines: Sequence[TextLine]) -> TextLine:
    """A line at the level of the highest of some and as wide as all together."""
    if len(lines) == 1:
        return lines[0]
    highest = min(lines, key=_level)
    left, right = min(float(line.baseline[0, 0]) for line in lines), max(float(line.baseline[-1, 0]) for line in lines)
    return replace(highest, baseline=np.array([[left, _level(highest)], [right, _level(highest)]], np.float32))


def has_columns(lines: Sequence[TextLine]) -> bool:
    """Whether at least two lines have another beside them, as the rows of a table have."""
    if len(lines) < 4:
        return False
    heights = np.array([line.ascender for line in lines])
    return len(_neighbours(*_ends(lines), heights, float(np.median(heights)))) > 1


def _ends(lines: Sequence[TextLine]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The left and the right ends of lines, float (N, 2) each."""
    starts, ends = (np.array([line.baseline[end] for line in lines], np.float64) for end in (0, -1))
    return starts, ends


def _order_of_row(lines: list[TextLine], texts: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """The order of the lines between two rules of a table, and the rows that are sure to be among them."""
    ascender = float(np.median([line.ascender for line in lines]))
    by_level = sorted(range(len(lines)), key=lambda index: _level(lines[index]))
    steps = np.diff([_level(lines[index]) for index in by_level])
    apart = steps[steps > ascender / 2]
    limit = min(ROW_GAP * float(apart.min()), ROW_ASCENDERS * ascender) if len(apart) else np.inf
    parts = np.split(np.array(by_level), np.flatnonzero(steps > limit) + 1)
    order: list[int] = []
    whole: list[list[int]] = []
    for part in parts:
        own, own_texts = [lines[index] for index in part], [texts[index] for index in part]
        cells = _cells(own)
        rows = _table_rows(own, own_texts, ascender)
        levels = {len(cell) for cell in cells}
        if max(levels) > 1 and any(len(row) > 1 for row in rows):
            within = _order_of_block(own, own_texts)
        else:
            if max(levels) == 1 or (
                len(levels) == 1 and min(levels) >= MIN_ROWS and not _all_prose(own, own_texts, cells)
            ):
                table = [list(row) for row in zip(*cells, strict=True)]
            else:
                table = [[index for cell in cells for index in cell]]
            within = [index for row in table for index in row]
            whole += [[int(part[place]) for place in row] for row in table]
        order += [int(part[place]) for place in within]
    return order, whole


def _cells(lines: Sequence[TextLine]) -> list[list[int]]:
    """Lines that stand above each other, left to right and each from the top."""
    cells: list[list[int]] = []
    right = -np.inf
    for index in sorted(range(len(lines)), key=lambda index: float(lines[index].baseline[0, 0])):
        line = lines[index]
        if line.baseline[0, 0] > right - line.ascender / 2 or not cells:
            cells.append([])
        cells[-1].append(index)
        right = max(right, float(line.baseline[-1, 0]))
    return [sorted(cell, key=lambda index: _level(lines[index])) for cell in cells]


def _all_prose(lines: Sequence[TextLine], texts: Sequence[str], cells: Sequence[list[int]]) -> bool:
    """Whether all cells of a row are prose."""
    widths = np.array([float(line.baseline[-1, 0] - line.baseline[0, 0]) for line in lines])
    return all(_is_prose(frozenset(cell), texts, widths) for cell in cells)


def _levelled(lines: list[TextLine]) -> list[TextLine]:
    """Lines turned by their common slope, so that those of a page that lies askew stand above each other."""
    angle = np.radians(slope_of(lines))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    return [replace(line, baseline=line.baseline @ turn) for line in lines]


def _order_of_block(lines: list[TextLine], texts: Sequence[str]) -> list[int]:
    """The order of lines that no gutter parts."""
    if len(lines) < 2:
        return list(range(len(lines)))
    ascender = float(np.median([line.ascender for line in lines]))
    rows = _table_rows(lines, texts, ascender) if texts else _rows(lines, ascender)
    rows = _with_broken_lines(rows, lines, ascender)
    left = np.array([lines[row[0]].baseline[:, 0].min() for row in rows])
    right = np.array([lines[row[-1]].baseline[:, 0].max() for row in rows])
    # What is written in one column runs over into the next.
    overrun = np.minimum(ascender, (right - left) / 4)
    left, right = left + overrun, right - overrun
    height = np.array([lines[row[0]].baseline[:, 1].mean() for row in rows])
    _widen_under_headings(left, right, height, np.array([lines[row[0]].ascender for row in rows]))
    overlaps = (left[:, None] < right) & (left < right[:, None])
    beside = right[:, None] <= left
    above = overlaps & (height[:, None] < height)
    # Products of matrices ask for all pairs whether any third line stands to both of them in a certain way.
    spanned = above.astype(np.float32) @ above.astype(np.float32) > 0
    # A line that is above what spans both columns is of another pair of columns.
    higher = beside & (height[:, None] < height + ascender / 2) & ~spanned
    # An address far below a small line of the letterhead is no column with it, but notes in a margin may be.
    apart = np.abs(height[:, None] - height)
    accompanied = (beside & (apart <= BESIDE_LEVEL * ascender)).any(axis=1)
    column = overlaps & (_connected(overlaps & (apart <= COLUMN_GAP * ascender)) | accompanied[:, None])
    reaches = column.astype(np.float32) @ higher.astype(np.float32) > 0
    before = above | (beside & reaches & ~spanned & ~spanned.T)
    far = right[:, None] + ALONE_GAP * ascender <= left
    for part in _standing_alone(height, overlaps, far, ascender):
        below = beside[:, part].all(axis=1) & (height > height[part].max())
        before[np.ix_(below, part)] = False
        before[np.ix_(part, below)] = True
    waits = before.sum(axis=0)
    ordered: list[int] = []
    for _ in rows:
        # Should lines wait for each other in a circle, the highest goes first.
        candidates = np.flatnonzero(waits == 0) if (waits == 0).any() else np.flatnonzero(waits > 0)
        first = int(candidates[np.argmin(height[candidates])])
        ordered.extend(rows[first])
        waits -= before[first]
        waits[first] = -len(rows)
    return ordered


def _with_broken_lines(rows: list[list[int]], lines: list[TextLine], ascender: float) -> list[list[int]]:
    """Rows, of which those are joined that are pieces of one line which something crosses.

    The line above goes on over both, and no other line near them begins where the second does, as those of a column do.
    """
    starts, ends = _ends(lines)
    heights = np.array([line.ascender for line in lines])
    first, last = {row[0]: row for row in rows}, {row[-1]: row for row in rows}
    for left, right in _neighbours(starts, ends, heights, ascender).items():
        small, large = sorted((heights[left], heights[right]))
        gap = starts[right, 0] - ends[left, 0]
        if left not in last or right not in first or gap > BROKEN_GAP * ascender or large > ALIKE * small:
            continue
        below = starts[left, 1] - starts[:, 1]
        near = (np.abs(below) > ascender / 2) & (np.abs(below) <= NEXT_LINE * ascender)
        over = (starts[:, 0] < ends[left, 0] - ascender) & (ends[:, 0] > starts[right, 0] + ascender)
        column = near & (np.abs(starts[:, 0] - starts[right, 0]) < ascender)
        if (near & (below > 0) & over).any() and not column.any():
            row = last.pop(left)
            row += first.pop(right)
            last[row[-1]] = row
    return list(first.values())


def _connected(near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of some lines are near each other, or connected by others that are, bool (N, N)."""
    labels = np.full(len(near), -1)
    for first in range(len(near)):
        border = np.array([first]) if labels[first] < 0 else np.array([], int)
        while len(border):
            labels[border] = first
            border = np.flatnonzero(near[border].any(axis=0) & (labels < 0))
    return np.asarray(labels[:, None] == labels)


def _widen_under_headings(
    left: NDArray[np.float64], right: NDArray[np.float64], height: NDArray[np.float64], ascender: NDArray[np.float64]
) -> None:
    """Make lines that are centred below a wider one as wide as it, float (N,) each, in place.

    Otherwise the second line of a letterhead is beside the address below it, and is read after that.
    """
    middle, width = (left + right) / 2, right - left
    tall = np.maximum(ascender, ascender[:, None])
    below = height - height[:, None]
    # Pairs of a line and one that is centred below it.
    pairs = (below > 0) & (below <= UNDER_HEADING * tall) & (np.abs(middle - middle[:, None]) <= CENTRED * tall)
    pairs &= width < width[:, None]
    for upper, lower in sorted(np.argwhere(pairs).tolist(), key=lambda pair: (height[pair[1]], -height[pair[0]])):
        level = np.abs(height - height[lower]) < ascender[lower]
        level[[upper, lower]] = False
        if not (level & (left < right[upper]) & (right > left[upper])).any():
            left[lower], right[lower] = min(left[lower], left[upper]), max(right[lower], right[upper])


def _standing_alone(
    heights: NDArray[np.float64], overlaps: NDArray[np.bool_], far: NDArray[np.bool_], ascender: float
) -> list[list[int]]:
    """Rows at the right without any beside them, above one at the left: a date, closing words, a signature.

    What goes on below them in a column of its own does not stand alone.

    Parameters
    ----------
    heights : float (N,)
        Of the rows on the page.
    overlaps, far : bool (N, N)
        Whether a row stands above or below another one, and whether it ends far to the left of it.
    ascender : float

    Returns
    -------
    list of list of int
        Places of the rows of each such part, from the top.
    """
    by_height = np.argsort(heights, kind="stable")
    steps = np.diff(heights[by_height])
    found: list[list[int]] = []
    at = 0
    while at < len(by_height) - 1:
        part = [int(by_height[at])]
        while at + len(part) < len(by_height) and overlaps[part[-1], by_height[at + len(part)]]:
            part.append(int(by_height[at + len(part)]))
        end = at + len(part)
        # From the last that stands at the right of the next one, upwards.
        if end < len(by_height):
            following = int(by_height[end])
            own = list(part)
            while own and not far[following, own].all():
                own.pop(0)
            first = end - len(own)
            is_apart = steps[end - 1] > ascender and (first == 0 or steps[first - 1] > ascender)
            if 0 < len(own) <= MAX_ALONE and is_apart:
                under = by_height[end + 1 :][overlaps[by_height[end + 1 :]][:, own].any(axis=1)]
                if not len(under) or overlaps[under[0], following]:
                    found.append(own)
        at = end
    return found


def _blocks(lines: list[TextLine], texts: Sequence[str], indices: list[int]) -> list[list[int]]:
    """Places of lines in blocks, each of which is read before the next: columns of prose and what parts them.

    A line across both columns parts what is above it from what is below; one beside which both columns go on, such as a
    caption between them, comes after the left one. The page's header and footer are read before and after the columns.
    """
    gutter = _gutter(lines, texts, indices)
    if gutter is None:
        return [indices]
    header, footer = _header_and_footer(lines, texts, indices, gutter)
    if header or footer:
        body = [index for index in indices if index not in header and index not in footer]
        return [part for part in (header, *_blocks(lines, texts, body), footer) if part]
    middle = {index: _level(lines[index]) for index in indices}
    left, right, crossing = _parts(lines, indices, gutter)
    spanning = [
        index
        for index in crossing
        if not any(abs(middle[other] - middle[index]) < lines[index].ascender for other in (*left, *right))
    ]
    blocks: list[list[int]] = []
    upper = -np.inf
    for line in [*sorted(spanning, key=lambda index: middle[index]), None]:
        lower = np.inf if line is None else middle[line]
        for part in (left, [index for index in crossing if index not in spanning], right):
            band = [index for index in part if upper <= middle[index] < lower]
            blocks += _blocks(lines, texts, band) if band else []
        if line is not None:
            blocks.append([line])
        upper = lower
    return blocks


def _header_and_footer(
    lines: list[TextLine], texts: Sequence[str], indices: list[int], gutter: float
) -> tuple[list[int], list[int]]:
    """Return the first and the last row of lines if they are the page's header and footer, else empty lists.

    They are farther from all other lines than these are from each other. A header has a page number: other rows above
    columns may be their headings.
    """
    left, right, _ = _parts(lines, indices, gutter)
    ordered = sorted(indices, key=lambda index: _level(lines[index]))
    # Lines beside each other are one row.
    row = float(np.median([lines[index].ascender for index in indices])) / 2
    steps = np.diff(_levels(lines, indices))
    apart = np.flatnonzero(steps > row)
    pitches = [own[own > row] for own in (np.diff(_levels(lines, part)) for part in (left, right))]
    if len(apart) < 2 or not all(len(own) for own in pitches):
        return [], []
    pitch = max(float(np.median(own)) for own in pitches)
    first, last = ordered[: apart[0] + 1], ordered[apart[-1] + 1 :]
    numbered = any(texts[index].strip().isdigit() for index in first)
    header = first if numbered and steps[apart[0]] >= FOOTER_GAP * pitch else []
    footer = last if steps[apart[-1]] >= FOOTER_GAP * pitch else []
    return header, footer


def _level(line: TextLine) -> float:
    """Return the mean height of a line's baseline on the page."""
    return float(line.baseline[:, 1].mean())


def _levels(lines: list[TextLine], indices: Sequence[int]) -> NDArray[np.float64]:
    """Return the heights of lines on the page, from the top."""
    return np.sort([_level(lines[index]) for index in indices])


def _parts(lines: list[TextLine], indices: list[int], gutter: float) -> tuple[list[int], list[int], list[int]]:
    """The lines to the left and to the right of a gutter, and those across it."""
    left, right, crossing = [], [], []
    for index in indices:
        line = lines[index]
        if line.baseline[-1, 0] <= gutter + line.ascender / 2:
            left.append(index)
        elif line.baseline[0, 0] >= gutter - line.ascender / 2:
            right.append(index)
        else:
            crossing.append(index)
    return left, right, crossing


def _gutter(lines: list[TextLine], texts: Sequence[str], indices: list[int]) -> float | None:
    """Where two columns of prose part, pixels from the left; None where there are not two beside each other."""
    best, fewest = None, (MAX_CROSSING_SHARE * len(indices), 0)
    if len(indices) < 2 * MIN_PROSE_LINES:
        return None
    for gutter in sorted({round(float(lines[index].baseline[0, 0])) for index in indices}):
        left, right, crossing = _parts(lines, indices, gutter)
        if min(len(left), len(right)) < MIN_PROSE_LINES:
            continue
        if any(np.median([len(texts[index]) for index in part]) < PROSE_CHARACTERS for part in (left, right)):
            continue
        spans = [[float(lines[index].baseline[0, 1]) for index in part] for part in (left, right)]
        shared = min(max(spans[0]), max(spans[1])) - max(min(spans[0]), min(spans[1]))
        if shared < 0.5 * min(max(span) - min(span) for span in spans):
            continue
        if (key := (len(crossing), -min(len(left), len(right)))) < fewest:
            best, fewest = float(gutter), key
    return best


def _rows(lines: list[TextLine], ascender: float) -> list[list[int]]:
    """The lines, each alone, but an amount together with what stands far to the left of it.

    Amounts stand under each other, flush on the right and ragged on the left, which columns of prose or of a list are
    not.
    """
    starts, ends = _ends(lines)
    # How far each line ends, rightwards and upwards, from where each other begins.
    across, up = (starts[:, axis] - ends[:, axis, None] for axis in (0, 1))
    level = (across > 0) & (np.abs(up) < ascender / 2)
    alone = (level.sum(axis=0) == 1) & (level.sum(axis=1) == 0)
    pairs = []
    for amount in np.flatnonzero(alone):
        item = int(np.flatnonzero(level[:, amount])[0])
        far = across[item, amount] >= AMOUNT_GAP * (ends[amount, 0] - starts[item, 0])
        if far and level[item].sum() == 1 and not level[:, item].any():
            pairs.append((item, int(amount)))
    amounts = [amount for _, amount in pairs]
    if len(pairs) < MIN_AMOUNTS or not _ragged(starts[amounts]) > 2 * _ragged(ends[amounts]):
        pairs = []
    else:
        inside = (ends[:, 0] > starts[amounts, 0].min()) & (starts[:, 0] < ends[amounts, 0].max())
        inside &= (starts[:, 1] >= starts[amounts, 1].min()) & (starts[:, 1] <= starts[amounts, 1].max())
        if len(pairs) < AMOUNT_SHARE * inside.sum():
            pairs = []
    second = {amount for _, amount in pairs}
    together = dict(pairs)
    return [
        [index, together[index]] if index in together else [index] for index in range(len(lines)) if index not in second
    ]


def _ragged(points: NDArray[np.float64]) -> float:
    """How far points (N, 2) lie from a line down the page, pixels, root mean square."""
    fit = np.polynomial.Polynomial.fit(points[:, 1], points[:, 0], 1)
    return float(np.sqrt(np.mean((fit(points[:, 1]) - points[:, 0]) ** 2)))


def _table_rows(lines: list[TextLine], texts: Sequence[str], ascender: float) -> list[list[int]]:
    """The lines, each alone, but the cells of a table's row together, left to right."""
    starts, ends = _ends(lines)
    following = _neighbours(starts, ends, np.array([line.ascender for line in lines]), ascender)
    columns = _columns(starts, ends, ascender)
    numbers = [_is_number(text) for text in texts]
    # Text above or below a table may begin where one of its columns does.
    partnered = {*following, *following.values()}
    numeric = {
        column: _is_numeric([numbers[index] for index in column if index in partnered]) for column in set(columns)
    }
    dates = [bool(DATE.fullmatch(text)) for text in texts]
    dated = {column: _is_numeric([dates[index] for index in column if index in partnered]) for column in set(columns)}
    prose = {column: _is_prose(column, texts, ends[:, 0] - starts[:, 0]) for column in set(columns)}
    amounts = {pair[1] for pair in _rows(lines, ascender) if len(pair) == 2}
    links: dict[int, int] = {}
    words: list[tuple[list[tuple[int, int]], frozenset[int], frozenset[int]]] = []
    for left, right in following.items():
        # The links between the same two columns are kept or cut together.
        pairs = [
            (one, other)
            for one, other in following.items()
            if one in columns[left] and (other in columns[right] or right in columns[other])
        ]
        first, second = columns[left], columns[right]
        near = starts[right, 0] - ends[left, 0] < MARKER_GAP * ascender
        if (
            right in amounts
            or (lines[right].boxed and not lines[left].boxed)
            or (near and MARKER.fullmatch(texts[left]))
        ):
            links[left] = right
        elif prose[first] and prose[second]:
            continue
        elif numeric[first] or numeric[second] or (dated[first] and len(texts[right]) >= PROSE_CHARACTERS):
            into = sum(other in second for other in following.values())
            if len(pairs) >= MIN_CELLS or into >= MIN_CELLS:
                links[left] = right
        elif len(pairs) >= MIN_CELLS and (
            _are_labels([texts[one] for one, _ in pairs]) or _are_choices([texts[other] for _, other in pairs])
        ):
            links[left] = right
        elif len(pairs) >= MIN_WORD_ROWS:
            words.append((pairs, first, second))
    levels = np.array([_level(line) for line in lines])
    count = -1
    while count != len(links):
        # Columns that are tied to numbers tie those beside them.
        count = len(links)
        for pairs, first, second in words:
            if _are_rows_of_words(pairs, first, second, levels, ({*links.values()}, set(links))):
                links |= dict(pairs)
    rows = []
    for index in range(len(lines)):
        if index not in links.values():
            row = [index]
            while row[-1] in links:
                row.append(links[row[-1]])
            rows.append(row)
    return rows


def _are_rows_of_words(
    pairs: Sequence[tuple[int, int]],
    first: frozenset[int],
    second: frozenset[int],
    levels: NDArray[np.float64],
    tied: tuple[set[int], set[int]],
) -> bool:
    """Whether pairs of cells of two columns of words are those of a table's rows, since its rows go on beyond them.

    An address beside the numbers of a letter has fewer lines, and lists of words have no numbers beside them.

    Parameters
    ----------
    pairs : sequence of tuple of int
        Places of lines of the first column and of those beside them in the second.
    first, second : frozenset of int
        Places of all lines of the columns.
    levels : float (N,)
        Heights of all lines on the page.
    tied : tuple of set of int
        Places of the lines that are tied to one at their left, and of those that are to one at their right.
    """
    own = [one for one, _ in pairs], [other for _, other in pairs]
    for column, cells in zip((first, second), own, strict=True):
        top, bottom = min(levels[cells]), max(levels[cells])
        inside = [index for index in column if top <= levels[index] <= bottom]
        if len(set(cells)) < ROW_SHARE * len(inside):
            return False
    rows_beyond = [
        sum(cell in some for cell in cells) >= ROW_SHARE * len(pairs) for cells, some in zip(own, tied, strict=True)
    ]
    return all(rows_beyond) or (any(rows_beyond) and len(pairs) >= MANY_WORD_ROWS)


def _neighbours(
    starts: NDArray[np.float64], ends: NDArray[np.float64], heights: NDArray[np.float64], ascender: float
) -> dict[int, int]:
    """Of each line that has one, the next to the right on the same level."""
    across = starts[:, 0] - ends[:, 0, None]
    level = np.abs(starts[:, 1] - ends[:, 1, None]) < 0.6 * np.minimum(heights, heights[:, None])
    distance = np.where(level & (across > -ascender / 2), across, np.inf)
    np.fill_diagonal(distance, np.inf)
    following: dict[int, int] = {}
    for left in range(len(starts)):
        right = int(np.argmin(distance[left]))
        # Of two that share a neighbour the nearer one has it.
        if np.isfinite(distance[left, right]) and int(np.argmin(distance[:, right])) == left:
            following[left] = right
    return following


def _columns(starts: NDArray[np.float64], ends: NDArray[np.float64], ascender: float) -> list[frozenset[int]]:
    """The column of each line: those that begin, end or have their middle about where it does."""
    middles = (starts + ends) / 2
    near = np.zeros((len(starts), len(starts)), bool)
    for edges in (starts, middles, ends):
        near |= np.abs(edges[:, None, 0] - edges[None, :, 0]) < ascender
    return [frozenset(np.flatnonzero(row).tolist()) for row in near]


def _is_number(text: str) -> bool:
    """Whether at least half of a text's letters and digits are digits."""
    digits = sum(character.isdigit() for character in text)
    return digits > 0 and 2 * digits >= sum(character.isalnum() for character in text)


def _is_numeric(numbers: Sequence[bool]) -> bool:
    """Whether a column is one of numbers, by whether each of its cells is one."""
    return len(numbers) >= MIN_CELLS and sum(numbers) >= NUMBER_SHARE * len(numbers)


def _is_prose(column: frozenset[int], texts: Sequence[str], widths: NDArray[np.float64]) -> bool:
    """Whether most lines of a column are long and end where the column does."""
    own = np.array(sorted(column))
    if np.median([len(texts[index]) for index in own]) < PROSE_CHARACTERS or len(own) < 3:
        return False
    return bool((widths[own] >= NEARLY * np.percentile(widths[own], 90)).mean() >= PROSE_SHARE)


def _are_labels(texts: Sequence[str]) -> bool:
    """Whether half of some texts end like a question or a label."""
    return 2 * sum(text.rstrip().endswith((":", "?")) for text in texts) >= len(texts)


def _are_choices(texts: Sequence[str]) -> bool:
    """Whether some texts are short and one of them comes again and again."""
    words = [text.casefold().split() for text in texts]
    last = [each[-1] for each in words if each]
    return bool(last) and max(map(len, words)) <= 3 and 2 * max(map(last.count, last)) >= len(texts) >= 3
