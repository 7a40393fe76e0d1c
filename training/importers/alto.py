"""Import ALTO 2 to 4, as eScriptorium, kraken, Transkribus, ABBYY and this project write it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from training.importers import marks
from training.importers.page_xml import DescribedPage, children
from training.importers.records import FoundLine, FoundPage, Points
from training.importers.safe_xml import box, local, number, parse_points

# Length of the units of measurement in inches.
_UNITS = {"mm10": 0.1 / 25.4, "inch1200": 1 / 1200, "mm": 1 / 25.4}


def read(root: Element) -> Iterator[DescribedPage]:
    """Yield the pages of a file, of which `root` is the element ``alto``."""
    names = {
        local(each.tag): (each.text or "").strip()
        for each in root.iter()
        if local(each.tag) in ("fileName", "MeasurementUnit", "softwareName")
    }
    unit = _UNITS.get(names.get("MeasurementUnit", "pixel").lower(), 0.0)
    styles = {each.get("ID", ""): each.get("FONTSTYLE", "") for each in root.iter() if local(each.tag) == "TextStyle"}
    own = names.get("softwareName") == "paragraph-ocr"
    for page in (each for each in root.iter() if local(each.tag) == "Page"):
        lines: list[FoundLine] = []
        ignore: list[Points] = []
        problems: list[tuple[str, str]] = []
        for element in page.iter():
            if local(element.tag) == "TextLine":
                lines.append(_line(element, len(lines) + 1, styles, problems))
            elif local(element.tag) == "TextBlock" and next(children(element, "TextLine"), None) is None:
                ignore.append(_outline(element, f"block {element.get('ID', '')}", problems))
        width, height = number(page.get("WIDTH")), number(page.get("HEIGHT"))
        found = FoundPage(tuple(lines), width, height, tuple(ignore), as_shown=own, unit=unit)
        claimed = int(number(page.get("PHYSICAL_IMG_NR")))
        yield DescribedPage(names.get("fileName", ""), claimed, found, tuple(problems))


def _outline(element: Element, name: str, problems: list[tuple[str, str]]) -> Points:
    """The polygon of an element, else its box; empty where it has neither."""
    for shape in children(element, "Shape"):
        for polygon in children(shape, "Polygon"):
            try:
                points = parse_points(polygon.get("POINTS"))
            except ValueError:
                problems.append((name, "its outline is damaged"))
                continue
            if len(points) > 2:
                return points
    left, top = number(element.get("HPOS")), number(element.get("VPOS"))
    width, height = number(element.get("WIDTH")), number(element.get("HEIGHT"))
    return box(left, top, left + width, top + height) if width > 0 and height > 0 else []


def _baseline(line: Element, outline: Points, name: str, problems: list[tuple[str, str]]) -> Points:
    """The baseline, which may be points or, up to version 4.1, one number: its distance from the top of the page."""
    given = line.get("BASELINE")
    if not given:
        return []
    try:
        if len(given.split()) == 1 and "," not in given:
            ((level, _),) = parse_points(f"{given} 0")
            return [(min(outline)[0], level), (max(outline)[0], level)] if outline else []
        return parse_points(given)
    except ValueError:
        problems.append((name, "its baseline is damaged"))
        return []


def _line(line: Element, place: int, styles: dict[str, str], problems: list[tuple[str, str]]) -> FoundLine:
    name = f"line {line.get('ID') or place}"
    outline = _outline(line, name, problems)
    if not outline:
        # Some programs place the words only.
        corners = [point for word in children(line, "String") for point in _outline(word, name, problems)]
        if corners:
            xs, ys = zip(*corners, strict=True)
            outline = box(min(xs), min(ys), max(xs), max(ys))
    text = ""
    struck: list[tuple[int, int]] = []
    spaced = next(children(line, "SP"), None) is not None
    for element in children(line, "String", "SP", "HYP"):
        kind = local(element.tag)
        if kind == "SP":
            text += " "
            continue
        # SUBS_CONTENT is the whole word or the expansion; CONTENT is what is written.
        content = element.get("CONTENT") or ("-" if kind == "HYP" else "")
        if kind == "HYP" and text.endswith(content):
            continue
        if kind == "String" and text and not spaced:
            text += " "
        named = [styles.get(each, "") for each in (element.get("STYLEREFS") or line.get("STYLEREFS") or "").split()]
        if "strikethrough" in " ".join([element.get("STYLE") or "", *named]):
            struck.append((len(text), len(text) + len(content)))
        text += content
    marked = marks.resolve(text, struck)
    baseline = _baseline(line, outline, name, problems)
    return FoundLine(name, marked.text, text, outline, baseline, marked.struck, marked.doubt)
