"""The bytes of a file in; its pages of text lines out: the one place that knows the order of the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.ctc import Character
from paragraph_ocr.detection import Detector, TextLine
from paragraph_ocr.document import Document, Line, Page, Word
from paragraph_ocr.document import Points as DocumentPoints
from paragraph_ocr.errors import DeadlineExceeded, TooLarge
from paragraph_ocr.imaging import DEFAULT_LIMITS, Limits, decode
from paragraph_ocr.language import LanguageModel
from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.recognition import Recognizer
from paragraph_ocr.rectification import Frame, Points, cut, dark_on_light, even_light, frame

# Lines that are read to tell whether a page stands on its head.
PROBES = 3
# Columns of their strips that are enough for it: a dozen letters each.
GLIMPSE = 320
# So much more surely, 0 to 1, must few lines be read across, to be taken for what lies so.
ACROSS = 0.2
# A line is looked at again if it should have been made narrower or wider than it was by more than this.
CLOSE = (0.8, 1.1)

# Takes the lines of a page that are read, and how many it has.
Progress = Callable[[int, int], None]
# What the recogniser saw of lines, by their place on the page.
Seen = dict[int, NDArray[np.float32]]


class PageReader:
    """Finds and reads the lines of images.

    Parameters
    ----------
    detector : Detector
    recognizer : Recognizer
    limits : Limits
        The most that a file may ask for.
    """

    def __init__(self, detector: Detector, recognizer: Recognizer, limits: Limits = DEFAULT_LIMITS) -> None:
        self.detector = detector
        self.recognizer = recognizer
        self.limits = limits
        self.models: Mapping[str, str] = {
            "detector": detector.model.card.label,
            "recognizer": recognizer.model.card.label,
        }

    @classmethod
    def load(
        cls, models: Path = FOLDER, threads: int = 1, limits: Limits = DEFAULT_LIMITS, warm: bool = True
    ) -> PageReader:
        """A reader with the models of a folder, each run once if `warm`, so that the first page does not pay for it.

        A folder without a language model is read without one.

        Raises
        ------
        ModelError
            A model is missing or not the one its card describes.
        """
        detector = Detector(Model(models / "detector.onnx", threads))
        language = models / "language.npz"
        recognizer = Recognizer(
            Model(models / "recognizer.onnx", threads), LanguageModel.load(language) if language.exists() else None
        )
        for model in (detector.model, recognizer.model) if warm else ():
            model.run(np.zeros(model.input_shape, np.float32))
        return cls(detector, recognizer, limits)

    def read(self, data: bytes, image: str, max_seconds: float | None = None) -> Document:
        """All that a file holds.

        Parameters
        ----------
        data : bytes
            As `imaging.decode` takes them.
        image : str
            The name that the document carries.
        max_seconds : float, optional
            The reader's limit when left out.

        Raises
        ------
        OcrError
            The file is refused, does not decode, or takes too long.
        """
        return Document(image, tuple(self.pages(data, image, max_seconds)))

    def pages(
        self,
        data: bytes,
        image: str,
        max_seconds: float | None = None,
        first: int = 1,
        progress: Callable[[int, int, int], None] | None = None,
    ) -> Generator[Page]:
        """The pages of a file, each read when it is asked for.

        Takes and raises what `read` does; what can be refused without reading a page is refused by the call itself.

        Parameters
        ----------
        first : int
            The first page to read, from 1; those before it are not even decoded.
        progress : callable, optional
            Is told a page's number, its lines that are read and all it has: when they are found, then as they are read.
        """
        limits = self.limits if max_seconds is None else replace(self.limits, max_seconds=max_seconds)
        start = perf_counter()
        return self._read_each(decode(data, limits, first), image, start, start + limits.max_seconds, first, progress)

    def _read_each(
        self,
        pages: Iterator[NDArray[np.uint8]],
        image: str,
        start: float,
        deadline: float,
        first: int,
        progress: Callable[[int, int, int], None] | None,
    ) -> Generator[Page]:
        for number, pixels in enumerate(pages, first):
            decode_ms = 1000 * (perf_counter() - start)
            tell = partial(progress, number) if progress else None
            yield self.read_image(pixels, image, decode_ms, number, deadline, tell)
            start = perf_counter()

    def read_image(
        self,
        pixels: NDArray[np.uint8],
        image: str,
        decode_ms: float = 0.0,
        number: int = 1,
        deadline: float = math.inf,
        progress: Progress | None = None,
    ) -> Page:
        """The page in an upright grey image.

        Parameters
        ----------
        pixels : uint8 (H, W)
        image : str
            The name that the page carries.
        decode_ms : float
            Milliseconds that decoding took, for the page's timings.
        number : int
            The page's number in its file.
        deadline : float
            As `perf_counter` tells the time.
        progress : callable, optional
            Is told the lines that are read and how many there are.

        Raises
        ------
        TooLarge
            There are more lines than the limit, or the deadline is over.
        """
        start = perf_counter()
        _check(deadline)
        height, width = pixels.shape
        pixels = even_light(dark_on_light(pixels))
        found, turn, seen = self._find(pixels)
        if len(found) > self.limits.max_lines:
            raise TooLarge(f"Page {number} has {len(found):,} lines; the limit is {self.limits.max_lines:,}.")
        middle = perf_counter()
        lines = self.read_lines(np.rot90(pixels, turn), found, deadline, progress, seen)
        end = perf_counter()
        return Page(
            image=image,
            page=number,
            width=width,
            height=height,
            rotation=90 * turn,
            lines=tuple(
                _turned_back(line, turn, width, height)
                for each, line in zip(found, lines, strict=True)
                if line.text and self.detector.believes(each, line.confidence)
            ),
            model=self.models,
            timings_ms={
                "decode": decode_ms,
                "detect": 1000 * (middle - start),
                "recognize": 1000 * (end - middle),
                "total": decode_ms + 1000 * (end - start),
            },
        )

    def _find(self, pixels: NDArray[np.uint8]) -> tuple[list[TextLine], int, Seen]:
        """The lines of ``numpy.rot90(page, turn)``, the turn that makes it upright, and what was seen of some lines."""
        found, sideways = self.detector.find(pixels)
        turn = 0
        if sideways or not found:
            side = np.rot90(pixels)
            as_it_is, upside_down, _ = self._legibility(side, self.detector.glance(side), GLIMPSE)
            likely = 3 if upside_down > as_it_is else 1
            turned, still = self.detector.find(np.rot90(pixels, likely))
            if turned and not still:
                found, turn = turned, likely
            elif sideways:
                found, _ = self.detector.find(pixels, upright=True)
        as_it_is, upside_down, seen = self._legibility(np.rot90(pixels, turn), found)
        surest = max(as_it_is, upside_down)
        if 0 < len(found) <= PROBES and surest <= self.recognizer.legible:
            # Whether a word lies on its side is told more surely by reading it.
            other = 0 if turn else 1
            across, _ = self.detector.find(np.rot90(pixels, other), upright=True)
            ways = self._legibility(np.rot90(pixels, other), across)
            if max(ways[:2]) > surest + ACROSS:
                found, turn = across, other
                as_it_is, upside_down, seen = ways
        if upside_down > as_it_is:
            turn = (turn + 2) % 4
            found, _ = self.detector.find(np.rot90(pixels, turn), upright=True)
            seen = {}
        return found, turn, seen

    def _legibility(
        self, pixels: NDArray[np.uint8], lines: Sequence[TextLine], columns: int | None = None
    ) -> tuple[float, float, Seen]:
        """How surely the longest lines are read as they are and upside down, and what was seen of them as they are.

        As they are, so many columns of each strip are looked at, all of them if it is not said. Upside down it is 0
        where they are legible as they are.
        """
        recognizer = self.recognizer
        lengths = [float(np.ptp(line.baseline[:, 0])) / line.ascender for line in lines]
        longest = np.argsort(lengths)[-PROBES:].tolist()
        frames = [self._frame(lines[index]) for index in longest]
        strips = [cut(pixels, each)[:, :columns] for each in frames]
        outputs = recognizer.look(strips)
        seen = dict(zip(longest, outputs, strict=True))
        legibility = recognizer.legibility(outputs)
        if not strips or legibility > recognizer.legible:
            return legibility, 0.0, seen
        turned = recognizer.look([strip[::-1, ::-1][:, :GLIMPSE] for strip in strips])
        return legibility, recognizer.legibility(turned), seen

    def _frame(self, line: TextLine, zoom: float = 1.0, stretch: float = 1.0) -> Frame:
        return frame(line.baseline, line.ascender / zoom, line.descender / zoom, self.recognizer.geometry, stretch)

    def _look(self, pixels: NDArray[np.uint8], frames: Mapping[int, Frame]) -> Seen:
        """What the recogniser sees of a page in some frames."""
        seen = self.recognizer.look([cut(pixels, each) for each in frames.values()])
        return dict(zip(frames, seen, strict=True))

    def look(
        self,
        pixels: NDArray[np.uint8],
        lines: Sequence[TextLine],
        deadline: float = math.inf,
        seen: Seen | None = None,
    ) -> Generator[tuple[Frame, NDArray[np.float32]]]:
        """Each line's frame on a page and what the recogniser sees in it, dense writing made larger and wider.

        Takes and raises what `read_lines` does.
        """
        recognizer = self.recognizer
        known = seen or {}
        size = recognizer.model.input_shape[0]
        densities: list[float] = []
        for start in range(0, len(lines), size):
            _check(deadline)
            batch = range(start, min(start + size, len(lines)))
            # Lines of a page are likely to be as dense as each other.
            usual = recognizer.fit.of(float(np.median(densities))) if densities else (1.0, 1.0)
            used = {index: (1.0, 1.0) if index in known else usual for index in batch}
            frames = {index: self._frame(lines[index], *used[index]) for index in batch}
            outputs = {index: known[index] for index in batch if index in known}
            outputs |= self._look(pixels, {index: frames[index] for index in batch if index not in known})
            again: dict[int, Frame] = {}
            for index in batch:
                wider = math.prod(used[index])
                densities.append(wider * recognizer.density(outputs[index], len(frames[index].origins)))
                wanted = recognizer.fit.of(densities[-1])
                if not CLOSE[0] <= math.prod(wanted) / wider <= CLOSE[1]:
                    again[index] = self._frame(lines[index], *wanted)
            frames |= again
            outputs |= self._look(pixels, again)
            yield from ((frames[index], outputs[index]) for index in batch)

    def read_lines(
        self,
        pixels: NDArray[np.uint8],
        lines: Sequence[TextLine],
        deadline: float = math.inf,
        progress: Progress | None = None,
        seen: Seen | None = None,
    ) -> list[Line]:
        """Each line of a page read, in the order given; the text is empty where nothing was read.

        Parameters
        ----------
        pixels : uint8 (H, W)
            Dark strokes on light paper, upright.
        lines : sequence of TextLine
        deadline : float
            As `perf_counter` tells the time.
        progress : callable, optional
            Is told the lines that are read and how many there are.
        seen : dict, optional
            What the recogniser saw already, by the line's place in `lines`.

        Raises
        ------
        DeadlineExceeded
            The deadline is over.
        """
        read: list[Line] = []
        step = self.recognizer.columns_a_step
        if progress:
            progress(0, len(lines))
        for line, (within, output) in zip(lines, self.look(pixels, lines, deadline, seen), strict=True):
            characters = self.recognizer.read(output)
            read.append(_line(line, within, characters, self.recognizer.confidences(characters), step))
            if progress:
                progress(len(read), len(lines))
        return read


def _check(deadline: float) -> None:
    if perf_counter() > deadline:
        raise DeadlineExceeded("Reading takes longer than the limit; send fewer pages, or pages with fewer lines.")


def _line(found: TextLine, within: Frame, characters: list[Character], sure: NDArray[np.float64], step: float) -> Line:
    spaces = [index for index, character in enumerate(characters) if character.text == " "]
    edges = [-1, *spaces, len(characters)]
    spans = [(before + 1, end) for before, end in pairwise(edges) if end > before + 1]
    words = tuple(
        Word(
            text="".join(character.text for character in characters[start:end]),
            confidence=float(sure[start:end].mean()),
            polygon=_points(polygon),
        )
        for (start, end), polygon in zip(spans, _polygons(found, within, characters, spans, step), strict=True)
    )
    return Line(
        text=" ".join(word.text for word in words),
        confidence=float(sure.mean()) if words else 0.0,
        polygon=_points(found.polygon),
        baseline=_points(found.baseline),
        words=words,
    )


def _polygons(
    found: TextLine, within: Frame, characters: list[Character], spans: list[tuple[int, int]], step: float
) -> list[Points]:
    """The polygons of words, each of the characters of a span.

    A character is seen at its middle and a space at its end, so that a word begins where the space before it was seen,
    and ends half-way to the one after it; the line's ends are its first's and its last's.
    """
    line_start, line_end = (
        int(np.square(within.origins - end).sum(axis=1).argmin()) / step for end in found.baseline[[0, -1]]
    )
    columns = []
    for start, end in spans:
        first, last = characters[start].first, characters[end - 1].last + 1
        before = characters[start - 1].last + 1 if start else min(first - 1, line_start)
        after = (characters[end].first + last) / 2 if end < len(characters) else max(last + 1, line_end)
        columns.append(np.linspace(before, after, max(2, round((after - before) * step / within.height) + 1)) * step)
    if not columns:
        return []
    together, ends = np.concatenate(columns), np.cumsum([len(each) for each in columns])[:-1]
    pixel = max(float(np.hypot(*within.downs[0])), 1e-6)
    upper, lower = (
        np.split(within.to_page(together, np.full(len(together), within.baseline_row + reach / pixel)), ends)
        for reach in (-found.ascender, found.descender)
    )
    return [np.concatenate([above, below[::-1]]) for above, below in zip(upper, lower, strict=True)]


def _turned_back(line: Line, turn: int, width: int, height: int) -> Line:
    """A line of an image turned by quarters anticlockwise, in the pixels of the image itself."""

    def place(points: DocumentPoints) -> DocumentPoints:
        if turn == 1:
            return tuple((width - y, x) for x, y in points)
        if turn == 2:
            return tuple((width - x, height - y) for x, y in points)
        return tuple((y, height - x) for x, y in points)

    if not turn:
        return line
    words = tuple(replace(word, polygon=place(word.polygon)) for word in line.words)
    return replace(line, polygon=place(line.polygon), baseline=place(line.baseline), words=words)


def _points(points: Points) -> DocumentPoints:
    return tuple((x, y) for x, y in points.tolist())
