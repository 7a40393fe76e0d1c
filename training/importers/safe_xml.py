"""Parse XML of unknown origin: no entities of its own, no external files, no unbounded depth."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from training.importers.records import ImportRefused, Points

LARGEST = 64 * 2**20
DEEPEST = 100
# Coordinates beyond this are mistakes; none of them is lost in single precision.
GREATEST = 1e7


def local(tag: object) -> str:
    """Return the name of an element without its namespace; empty for comments and processing instructions."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def parse(path: Path) -> ElementTree.Element:
    """Parse an XML file and return its root.

    Raises
    ------
    ImportRefused
        It cannot be read, is no XML, declares entities, or is too large or too deep.
    """
    depth = 0

    def refuse_entity(name: str, *_: object) -> None:
        raise ImportRefused(f"it declares the entity {name}, which is refused")

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise ImportRefused(f"its elements are nested more than {DEEPEST} deep")

    def leave(_: str) -> None:
        nonlocal depth
        depth -= 1

    try:
        if path.stat().st_size > LARGEST:
            raise ImportRefused(f"it has more than {LARGEST // 2**20} MiB")
        data = path.read_bytes()
        guard = expat.ParserCreate()
        guard.EntityDeclHandler = refuse_entity
        guard.StartElementHandler, guard.EndElementHandler = enter, leave
        guard.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:
        raise ImportRefused(f"it is no XML: {error}") from error
    except OSError as error:
        raise ImportRefused(f"it cannot be read: {error.strerror}") from error


def number(text: str | None) -> float:
    """Return the number that a text contains; 0 if it is none, or greater than any coordinate."""
    try:
        value = float(text or "")
    except ValueError:
        return 0.0
    return value if abs(value) <= GREATEST else 0.0


def parse_points(text: str | None) -> Points:
    """Parse points written as ``x,y x,y``, ``x y x y`` or ``x,y,x,y``; empty where there are none.

    Raises
    ------
    ValueError
        Something is no number or too great, or a point lacks half of it.
    """
    values = [float(each) for each in (text or "").replace(",", " ").replace(";", " ").split()]
    if not all(abs(each) <= GREATEST for each in values):
        raise ValueError("a coordinate is not finite, or too great")
    if len(values) % 2:
        raise ValueError("a point lacks a coordinate")
    return list(zip(values[::2], values[1::2], strict=True))


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return the corners of a box, clockwise."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
