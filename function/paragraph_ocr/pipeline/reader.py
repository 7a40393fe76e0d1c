"""Read the pages of a file: the one place that knows the order of the steps from its bytes to its text lines."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Block, Box, Document, Line, Page, TextStyle, Word, mean_confidence
from paragraph_ocr.document import Points as DocumentPoints
from paragraph_ocr.errors import DeadlineExceeded, TooLarge
from paragraph_ocr.io.imaging import DecodedPage, Source, decode_pages
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.pdf_text import LayerLine
from paragraph_ocr.model_set import ModelSet, load_manifest
from paragraph_ocr.models import FOLDER, Model, limited
from paragraph_ocr.pipeline.accents import accents_in_question, with_accents
from paragraph_ocr.pipeline.acceptance import accepted_lines
from paragraph_ocr.pipeline.bars import take_bars_off
from paragraph_ocr.pipeline.blocks import find_blocks
from paragraph_ocr.pipeline.cells import decide_by_columns
from paragraph_ocr.pipeline.confidence import line_features
from paragraph_ocr.pipeline.crops import with_margin
from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.dashes import DASHES, with_length
from paragraph_ocr.pipeline.detection import Detector, TextLine
from paragraph_ocr.pipeline.exclamation import marks_in_question, with_marks
from paragraph_ocr.pipeline.false_lines import Look, find_false_lines, look_at, wiped
from paragraph_ocr.pipeline.form_boxes import find_form_boxes, label
from paragraph_ocr.pipeline.hyphenation import soft_hyphens
from paragraph_ocr.pipeline.ink import Ink
from paragraph_ocr.pipeline.language import RECORDS, Languages
from paragraph_ocr.pipeline.leaders import Leader, take_leaders_off
from paragraph_ocr.pipeline.legibility import doubt, is_legible, is_text, length_per_character
from paragraph_ocr.pipeline.letter_case import (
    TALL,
    alone_in_question,
    case_alone,
    in_question,
    ink_height,
    letter_heights,
    lines_beside,
    with_case,
)
from paragraph_ocr.pipeline.light import dark_on_light_everywhere, even_light, strip_dark_on_light
from paragraph_ocr.pipeline.line_joining import CompleteLines, complete_lines, fitted_lines
from paragraph_ocr.pipeline.monospace import ReadLine, is_monospaced, without_false_spaces
from paragraph_ocr.pipeline.number_forms import in_forms_of_columns
from paragraph_ocr.pipeline.number_lists import with_lists_of_numbers
from paragraph_ocr.pipeline.options import NO_OPTIONS, ReadOptions
from paragraph_ocr.pipeline.orientation import Readings, find_upright, weigh
from paragraph_ocr.pipeline.reading_order import has_columns, order_between_rules
from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import Frame, Points, cut, frame, with_square_pixels
from paragraph_ocr.pipeline.ruling import MIN_RULES, Rule, are_crossed, find_rules, find_upright_rules, without_rules
from paragraph_ocr.pipeline.slant import find_slant
from paragraph_ocr.pipeline.specks import without_specks
from paragraph_ocr.pipeline.strokes import strokes_in_question, with_strokes
from paragraph_ocr.pipeline.text_layer import read_page

# A line is recognised again if its best width differs from the width of its strip by more than these factors.
SIZE_TOLERANCE = (0.8, 1.1)
# Number of lines from which the language of a page is identified.
LANGUAGE_LINES = 24
# Number of lines from which the adapted or the general recogniser is chosen for a page.
CHOICE_LINES = 6
# Minimum confidence gain by which a line that is as tall as its letters is read better than as it was found.
FITTED_GAIN = 0.05
# Confidence of a line from which it is no row of holes or dashes.
SURE_LINE = 0.8
# Minimum legibility, 0 to 1, of text that runs up or down the page.
VERTICAL_TEXT_LEGIBILITY = 0.7

# Called with the number of lines of a page that have been read, and of all its lines.
Progress = Callable[[int, int], None]


class PageReader:
    """Finds and reads the lines of images.

    Parameters
    ----------
    detector : Detector
    recognizer : Recognizer
    limits : Limits
        Maximum resources of reading a file.
    languages : sequence of str, optional
        Known languages of the pages, ISO 639-1; by default, the language of each page is identified from its text.
    """

    def __init__(
        self,
        detector: Detector,
        recognizer: Recognizer,
        limits: Limits = DEFAULT_LIMITS,
        languages: Sequence[str] = (),
    ) -> None:
        self.detector = detector
        self.recognizer = recognizer
        self.limits = limits
        self.languages = tuple(languages)
        self.model_set: ModelSet | None = None
        self.models: Mapping[str, str] = {
            "detector": detector.model.card.label,
            "recognizer": recognizer.model.card.label,
        }

    @classmethod
    def load(
        cls, models: Path = FOLDER, threads: int = 1, limits: Limits = DEFAULT_LIMITS, warm: bool = True
    ) -> PageReader:
        """Load a reader with the models of a folder.

        With `warm`, each model is run once, so that the first page is not slower than others. Without a language model
        in the folder, lines are decoded without one.

        Raises
        ------
        ModelError
            A model is missing or not the one its card describes, or the set has no manifest or differs from it.
        """
        model_set = load_manifest(models)
        detector = Detector(Model(models / "detector.onnx", threads))
        language = models / "language.npz"
        recognizer = Recognizer(
            Model(models / "recognizer.onnx", threads), Languages.load(language) if language.exists() else None
        )
        loaded = [detector.model, recognizer.model]
        if (models / "general.onnx").exists():
            general = Model(models / "general.onnx", threads)
            languages = Languages.load(language, general.card.charset, own=False) if language.exists() else None
            recognizer.general = Recognizer(general, languages)
            loaded.append(general)
        for model in loaded if warm else ():
            model.run(np.zeros(model.input_shape, np.float32))
        reader = cls(detector, recognizer, limits)
        reader.model_set = model_set
        return reader

    @property
    def languages_known(self) -> tuple[str, ...]:
        """Codes of the languages with a model, ISO 639-1, and the code of the common model of all others."""
        languages = self.recognizer.languages
        return () if languages is None else tuple(sorted(set(languages.models) - {RECORDS}))

    def read(
        self,
        data: bytes | Source,
        image: str,
        max_seconds: float | None = None,
        options: ReadOptions = NO_OPTIONS,
    ) -> Document:
        """Read the pages of a file.

        Parameters
        ----------
        data : bytes or Source
            As `imaging.decode` takes it.
        image : str
            Name of the document.
        max_seconds : float, optional
            By default the reader's limit.
        options : ReadOptions, optional

        Raises
        ------
        OcrError
            The file is refused, does not decode, takes too long, or lacks a requested page.
        """
        pages = tuple(self.pages(data, image, max_seconds, options=options))
        return Document(image, pages, numbers=tuple(page.page for page in pages) if options.pages else ())

    def pages(
        self,
        data: bytes | Source,
        image: str,
        max_seconds: float | None = None,
        first: int = 1,
        progress: Callable[[int, int, int], None] | None = None,
        options: ReadOptions = NO_OPTIONS,
    ) -> Generator[Page]:
        """Yield the pages of a file, each read when it is requested.

        Parameters and errors are those of `read`; errors that need no page are raised by the call itself.

        Parameters
        ----------
        first : int
            The first page to read, from 1; those before it are not decoded.
        progress : callable, optional
            Called with the number of the page, of its lines that have been read, and of all its lines, when they have
            been detected and after each.
        """
        limits = self.limits if max_seconds is None else replace(self.limits, max_seconds=max_seconds)
        start = perf_counter()
        return self._read_each(
            decode_pages(data, limits, first, options.pages, options.takes_text),
            image,
            start,
            start + limits.max_seconds,
            progress,
            options,
        )

    def _read_each(
        self,
        pages: Iterator[DecodedPage],
        image: str,
        start: float,
        deadline: float,
        progress: Callable[[int, int, int], None] | None,
        options: ReadOptions,
    ) -> Generator[Page]:
        for pixels, aspect, number, text in pages:
            decode_ms = 1000 * (perf_counter() - start)
            report = partial(progress, number) if progress else None
            with limited(deadline - perf_counter()):
                page = self.read_image(pixels, image, decode_ms, number, deadline, report, aspect, options, text)
            yield page
            start = perf_counter()

    def read_image(
        self,
        pixels: NDArray[np.uint8],
        image: str,
        decode_ms: float = 0.0,
        number: int = 1,
        deadline: float = math.inf,
        progress: Progress | None = None,
        pixel_aspect: float = 1.0,
        options: ReadOptions = NO_OPTIONS,
        text: Sequence[LayerLine] = (),
    ) -> Page:
        """Read a page from its grey image.

        Parameters
        ----------
        pixels : uint8 (H, W)
        image : str
            Name of the document.
        decode_ms : float
            Milliseconds that decoding took, for the page's timings.
        number : int
            The page's number in its file.
        deadline : float
            Value of `perf_counter` at which reading must end.
        progress : callable, optional
            Called with the number of lines that have been read, and of all lines.
        pixel_aspect : float
            Height of the image's pixels relative to their width.
        options : ReadOptions, optional
        text : sequence of LayerLine, optional
            Text that the page of a PDF carries; where it can be used, only the rest of the page is read.

        Raises
        ------
        TooLarge
            There are more lines than the limit.
        DeadlineExceeded
            The deadline is over.
        """
        start = perf_counter()
        _check(deadline)
        if text:

            def read_rest(rest: NDArray[np.uint8]) -> Page:
                return self.read_image(rest, image, 0.0, number, deadline, progress, pixel_aspect, options)

            made = read_page(self, pixels, text, image, number, read_rest, options)
            total = made.timings_ms["total"] + decode_ms
            return replace(made, timings_ms={**made.timings_ms, "decode": decode_ms, "total": total})
        height, width = pixels.shape
        pixels = without_specks(even_light(dark_on_light_everywhere(with_square_pixels(pixels, pixel_aspect))))
        shown_height, shown_width = pixels.shape
        scale = width / shown_width, height / shown_height
        pixels, margin = with_margin(pixels)
        _check(deadline)
        upright = find_upright(pixels, self.detector, self.recognizer, partial(_check, deadline))
        page = np.rot90(pixels, upright.turn)
        complete = complete_lines(page, upright.lines, margin)
        page = complete.page
        clear = take_leaders_off(page, upright.lines, complete.ink)
        if clear.page is not page:
            # Lines that a leader was part of or beside are read anew, since they are new objects.
            page = clear.page
            complete = complete_lines(page, clear.lines, margin)
        uncovered = take_bars_off(page, clear.lines, complete.ink)
        if uncovered.page is not page:
            page = uncovered.page
            complete = complete_lines(page, uncovered.lines, margin)
        boxes = find_form_boxes(page, complete.lines, complete.ink)
        if boxes.page is not None:
            # The walls of boxes and ticks may have been detected as letters.
            page = boxes.page
            complete = complete_lines(page, self.detector.find(page).lines, margin)
        rules = _rules_of(page, complete.lines)
        ruled = strips = page
        if len(rules) >= MIN_RULES:
            strips = without_rules(page, rules, _usual_ascender(complete.lines))
        if strips is not page:
            # Rules part the cells of a table when lines are found, unless they hide letters.
            if are_crossed(rules, complete.lines):
                page = strips
                complete = complete_lines(page, self.detector.find(page).lines, margin)
            strips = np.maximum(strips, _without_upright_rules(ruled, complete))
        _check(deadline)
        if (count := len(complete.lines) + sum(map(len, complete.instead))) > self.limits.max_lines:
            raise TooLarge(f"Page {number} has {count:,} lines; the limit is {self.limits.max_lines:,}.")
        found, vertical = self._with_upright(page, complete, deadline, options)
        # Lines that were read to decide the orientation are not read again.
        places = {id(line): index for index, line in enumerate(upright.lines)}
        readings = {
            index: upright.readings[place]
            for index, line in enumerate(found)
            if (place := places.get(id(line))) in upright.readings
        }
        middle = perf_counter()
        combs = [
            (comb.on_page, comb.placed(self.read_lines(comb.pixels, [comb.line], options=options)[0]))
            for comb in boxes.combs
        ]
        looks: dict[int, Look] = {}
        read = self.read_lines(strips, found, deadline, progress, readings, options, looks)
        self._read_fitted(strips, found, read, complete.ink, deadline, options)
        accepted, faintest = self._accepted(page, found, read, looks, combs)
        if faintest:
            # Lines of both sides may be merged: detect again on the page without the show-through.
            page = wiped(page, faintest)
            complete = complete_lines(page, self.detector.find(page).lines, margin)
            found, vertical = self._with_upright(page, complete, deadline, options)
            looks = {}
            again = self.read_lines(page, found, deadline, options=options, looks=looks)
            accepted, _ = self._accepted(page, found, again, looks, combs)
        lines, rows = _in_order(accepted, rules, clear.leaders)
        lines = label(lines, boxes.check_boxes)
        lines += vertical
        if not is_text(lines, mean_confidence(lines), length_per_character(found, lines) > 0):
            lines = []
        blocks = find_blocks(lines, page.shape[1], page.shape[0], rows)
        shown = shown_width + 2 * margin, shown_height + 2 * margin
        to_image = _Placement(upright.turn, shown, scale, (-margin * scale[0], -margin * scale[1]))
        # Text in a restricted charset, such as digits, is improbable in every language.
        languages = None if options.charset else self.recognizer.languages
        length = 0.0 if options.charset else length_per_character(found, lines)
        legible = is_legible(lines, mean_confidence(lines), languages, length)
        if not legible:
            lines = list(map(doubt, lines))
        end = perf_counter()
        return Page(
            image=image,
            page=number,
            width=width,
            height=height,
            rotation=90 * upright.turn,
            lines=tuple(to_image.line(line) for line in lines),
            model=self.models,
            timings_ms={
                "decode": decode_ms,
                "detect": 1000 * (middle - start),
                "recognize": 1000 * (end - middle),
                "total": decode_ms + 1000 * (end - start),
            },
            blocks=blocks,
            style=self.text_style(lines, blocks, options),
            unreadable=not legible,
            upright=options.upright,
        )

    def _settle_case(
        self,
        pixels: NDArray[np.uint8],
        lines: Sequence[TextLine],
        frames: Sequence[Frame],
        read: list[list[Character]],
        alone: Sequence[int],
        step: float,
    ) -> None:
        """Set the letters of the lines `alone` in the case that the capitals and figures near them tell."""
        known: dict[int, list[float]] = {}
        baseline = self.recognizer.geometry.baseline
        for place in alone:
            tall: list[float] = []
            for index in lines_beside(place, lines, read):
                if index not in known:
                    strip = strip_dark_on_light(cut(pixels, frames[index]))
                    height_of = letter_heights(read[index], strip, step, baseline)
                    row = float(np.hypot(*frames[index].downs[0]))
                    known[index] = [row * height_of(at) for at, each in enumerate(read[index]) if each.text in TALL]
                tall += [height for height in known[index] if not np.isnan(height)]
            own = ink_height(strip_dark_on_light(cut(pixels, frames[place]))) * float(np.hypot(*frames[place].downs[0]))
            read[place] = [replace(read[place][0], text=case_alone(read[place][0].text, own, tall))]

    def text_style(self, lines: Sequence[Line], blocks: Sequence[Block], options: ReadOptions) -> TextStyle:
        """Return how the text of a page with these lines and blocks is written."""
        hyphens: tuple[int, ...] = ()
        if options.joined and lines:
            languages = self.recognizer.languages
            codes = options.languages or self.languages
            model = None
            if languages is not None:
                texts = [line.text for line in lines]
                model = languages.model(languages.given(codes, texts) if codes else languages.identify(texts))
            hyphens = soft_hyphens(lines, blocks, model)
        return TextStyle(options.joined, options.marked, hyphens)

    def _accepted(
        self,
        page: NDArray[np.uint8],
        found: Sequence[TextLine],
        lines: Sequence[Line],
        looks: Mapping[int, Look],
        more: Sequence[tuple[TextLine, Line]] = (),
    ) -> tuple[list[tuple[TextLine, Line]], float]:
        """The accepted lines of a page and the lines of `more`, in no order, and `FalseLines.faintest`."""
        kept = accepted_lines(found, lines, self.detector.accepts)
        known = {place: looks[index] for place, index in enumerate(kept) if index in looks}
        unsure = [place for place, index in enumerate(kept) if lines[index].confidence < SURE_LINE]
        false = find_false_lines(page, [found[index] for index in kept], self.recognizer, known, unsure)
        left_out = false.bar_codes | false.marks | false.show_through
        kept = [index for place, index in enumerate(kept) if place not in left_out]
        text = [(found[index], lines[index]) for index in kept] + [each for each in more if each[1].text]
        return text, false.faintest

    def _read_fitted(
        self,
        page: NDArray[np.uint8],
        found: list[TextLine],
        read: list[Line],
        ink: Ink,
        deadline: float,
        options: ReadOptions,
    ) -> None:
        """Replace lines of a page that are far taller than their letters by lines as tall as these, if read better."""
        fitted = fitted_lines(found, ink)
        if not fitted:
            return
        again = self.read_lines(page, list(fitted.values()), deadline, options=options)
        for (index, line), other in zip(fitted.items(), again, strict=True):
            if other.text != read[index].text and other.confidence > read[index].confidence + FITTED_GAIN:
                found[index], read[index] = line, other

    def _with_upright(
        self, page: NDArray[np.uint8], complete: CompleteLines, deadline: float, options: ReadOptions
    ) -> tuple[list[TextLine], list[Line]]:
        """The lines to read on a page, and those of its vertical text, which have been read, from left to right.

        What is read better as it stands, such as a column of digits, is no vertical text.
        """
        found, read = list(complete.lines), list[Line]()
        for box, instead in sorted(zip(complete.upright, complete.instead, strict=True), key=lambda each: each[0]):
            least = max(VERTICAL_TEXT_LEGIBILITY, weigh(page, instead, self.recognizer).upright)
            lines = self._read_upright(page, box, least, deadline, options)
            # A word that stands below upright text, as in the cell below an upright heading, is no part of it.
            found += [each for each in instead if not any(_has_middle(line.box, each) for line in lines)]
            # The margins of neighbouring boxes show the same lines.
            read += [line for line in lines if not any(_is_within(line.box, own.box) for own in read)]
        return found, read

    def _read_upright(
        self, page: NDArray[np.uint8], box: Box, least: float, deadline: float, options: ReadOptions
    ) -> list[Line]:
        """Read the vertical text in a box of a page, as lines of the page; none if it is less legible than `least`."""
        left, top, right, bottom = box
        margin = (right - left) / 2
        x, y = max(round(left - margin), 0), max(round(top - margin), 0)
        part = page[y : round(bottom + margin), x : round(right + margin)]
        upwards = np.rot90(part, 3)
        found = self.detector.find(upwards).lines
        evidence = weigh(upwards, found, self.recognizer)
        turn = 3
        if evidence.upside_down > evidence.upright or not found:
            turn = 1
            found = self.detector.find(np.rot90(part, turn)).lines
            evidence = weigh(np.rot90(part, turn), found, self.recognizer)
        if not found or evidence.upright < least:
            return []
        turned = np.rot90(part, turn)
        found = complete_lines(turned, found).lines
        looks: dict[int, Look] = {}
        read = self.read_lines(turned, found, deadline, options=options, looks=looks)
        accepted, _ = self._accepted(turned, found, read, looks)
        lines, _ = _in_order(accepted, _rules_of(turned, [line for line, _ in accepted]))
        place = _Placement(turn, (part.shape[1], part.shape[0]), (1.0, 1.0), (x, y))
        return [place.line(line) for line in lines]

    def _recognizer_for(self, pixels: NDArray[np.uint8], lines: Sequence[TextLine]) -> Recognizer:
        """Choose the adapted or the general recogniser for a page by its longest lines."""
        if self.recognizer.general is None:
            return self.recognizer
        longest = sorted(lines, key=lambda line: -float(np.ptp(line.baseline[:, 0])))[:CHOICE_LINES]
        return self.recognizer.for_page([strip_dark_on_light(cut(pixels, self._frame(line))) for line in longest])

    def _frame(self, line: TextLine, zoom: float = 1.0, stretch: float = 1.0, slant: float = 0.0) -> Frame:
        above, below = line.ascender / zoom, line.descender / zoom
        return frame(line.baseline, above, below, self.recognizer.geometry, stretch, slant)

    def _log_probabilities(
        self,
        pixels: NDArray[np.uint8],
        frames: Mapping[int, Frame],
        recognizer: Recognizer,
        looks: dict[int, Look] | None = None,
    ) -> Readings:
        """Return the log probabilities of the strips of some frames of a page; `looks` is set to how they look."""
        if not frames:
            return {}
        strips = [cut(pixels, each) for each in frames.values()]
        if looks is not None:
            looks.update({index: look_at(strip, recognizer) for index, strip in zip(frames, strips, strict=True)})
        outputs = recognizer.log_probabilities([strip_dark_on_light(strip) for strip in strips])
        return dict(zip(frames, outputs, strict=True))

    def line_log_probabilities(
        self,
        pixels: NDArray[np.uint8],
        lines: Sequence[TextLine],
        deadline: float = math.inf,
        known: Readings | None = None,
        recognizer: Recognizer | None = None,
        looks: dict[int, Look] | None = None,
    ) -> Generator[tuple[Frame, NDArray[np.float32]]]:
        """Yield the frame and the log probabilities of each line, scaled by the density of its characters.

        Parameters and errors are those of `read_lines`.
        """
        recognizer = recognizer or self.recognizer
        slant = find_slant(pixels, lines, recognizer)
        known = {} if slant or not known else known
        size = recognizer.model.input_shape[0]
        # Known lines were read as wide as they come.
        natural = {index: self._frame(lines[index]) for index in known}
        # In ascending order. Most lines of a page have a similar density.
        densities = sorted(recognizer.density(known[index], len(natural[index].origins)) for index in known)
        for start in range(0, len(lines), size):
            _check(deadline)
            batch = range(start, min(start + size, len(lines)))
            middle = len(densities) // 2
            usual = (
                recognizer.scaling.factors((densities[middle] + densities[-middle - 1]) / 2)
                if densities
                else (1.0, 1.0)
            )
            used = {index: (1.0, 1.0) if index in known else usual for index in batch}
            frames = {
                index: natural[index] if index in natural else self._frame(lines[index], *used[index], slant)
                for index in batch
            }
            outputs = {index: known[index] for index in batch if index in known}
            outputs |= self._log_probabilities(
                pixels, {index: frames[index] for index in batch if index not in known}, recognizer, looks
            )
            again: dict[int, Frame] = {}
            for index in batch:
                wider = math.prod(used[index])
                density = wider * recognizer.density(outputs[index], len(frames[index].origins))
                if index not in known:
                    insort(densities, density)
                wanted = recognizer.scaling.factors(density)
                if not SIZE_TOLERANCE[0] <= math.prod(wanted) / wider <= SIZE_TOLERANCE[1]:
                    again[index] = self._frame(lines[index], *wanted, slant)
            frames |= again
            outputs |= self._log_probabilities(pixels, again, recognizer, looks)
            yield from ((frames[index], outputs[index]) for index in batch)

    def read_lines(
        self,
        pixels: NDArray[np.uint8],
        lines: Sequence[TextLine],
        deadline: float = math.inf,
        progress: Progress | None = None,
        known: Readings | None = None,
        options: ReadOptions = NO_OPTIONS,
        looks: dict[int, Look] | None = None,
    ) -> list[Line]:
        """Read the lines of a page, in the given order; the text is empty where nothing was read.

        Parameters
        ----------
        pixels : uint8 (H, W)
            Dark strokes on light paper, upright.
        lines : sequence of TextLine
        deadline : float
            Value of `perf_counter` at which reading must end.
        progress : callable, optional
            Called with the number of lines that have been read, and of all lines.
        known : dict, optional
            Log probabilities of lines that were read before, by their index in `lines`.
        options : ReadOptions, optional
        looks : dict, optional
            Set to what the lines that are read here look like in their strips, by their index.

        Raises
        ------
        DeadlineExceeded
            The deadline is over.
        """
        recognizer = self._recognizer_for(pixels, lines)
        step = recognizer.columns_a_step
        if progress:
            progress(0, len(lines))
        outputs = self.line_log_probabilities(
            pixels, lines, deadline, known if recognizer is self.recognizer else None, recognizer, looks
        )
        first = list(islice(outputs, LANGUAGE_LINES))
        language = recognizer.language_of([output for _, output in first], options.languages or self.languages)
        frames: list[Frame] = []
        probabilities: list[NDArray[np.float32]] = []

        def each_line() -> Iterator[NDArray[np.float32]]:
            for within, output in chain(first, outputs):
                _check(deadline)
                frames.append(within)
                probabilities.append(output)
                yield output
                if progress:
                    progress(len(frames), len(lines))

        read = recognizer.read(each_line(), language, options.charset)
        card = recognizer.model.card
        steps = [step * within.column_width for within in frames]
        dashed = [any(character.text in DASHES for character in characters) for characters in read]
        # The hyphens of a typewriter are as long as its letters.
        if any(dashed) and is_monospaced(_read_lines(lines, read, steps)):
            dashed = [False] * len(read)
        for index, (within, output) in enumerate(zip(frames, probabilities, strict=True)):
            if options.charset:
                break
            places = in_question(read[index], output, card.charset, card.blank)
            marks = marks_in_question(read[index], output, card.charset, card.blank)
            strokes = strokes_in_question(read[index], output, card.charset, card.blank)
            accents: list[int] = []
            if language is not None and language.is_small:
                accents = accents_in_question(read[index], output, card.charset, card.blank)
            if not (places or marks or strokes or accents or dashed[index]):
                continue
            _check(deadline)
            strip, baseline = strip_dark_on_light(cut(pixels, within)), recognizer.geometry.baseline
            if places:
                read[index] = with_case(read[index], places, strip, step, baseline)
            if marks:
                read[index] = with_marks(read[index], marks, strip, step, baseline)
            seen = (strip, output, card.charset, card.blank, step, baseline)
            if accents and language is not None:
                read[index] = with_accents(read[index], accents, *seen, language.accents)
            aspect = within.column_width / max(float(np.hypot(*within.downs[0])), 1e-6)
            if strokes:
                read[index] = with_strokes(read[index], strokes, *seen, aspect)
            if dashed[index]:
                read[index] = with_length(read[index], *seen, aspect)
        read = without_false_spaces(_read_lines(lines, read, steps))
        if not options.charset:
            read = with_lists_of_numbers(read, probabilities, card.charset, card.blank)
            read = in_forms_of_columns(lines, read, probabilities, card.charset, card.blank)
            read = decide_by_columns(lines, read, probabilities, card.charset, card.blank)
            alone = alone_in_question(read, probabilities, card.charset, card.blank)
            self._settle_case(pixels, lines, frames, read, alone, step)
        decoded = [
            (characters, line_features(characters, output))
            for characters, output in zip(read, probabilities, strict=True)
        ]
        sure = recognizer.confidences(decoded)
        return [
            _line(line, within, characters, own, step, in_part=options.charset is not None)
            for line, within, (characters, _), own in zip(lines, frames, decoded, sure, strict=True)
        ]


def _usual_ascender(lines: Sequence[TextLine]) -> float:
    return float(np.median([line.ascender for line in lines]))


def _rules_of(page: NDArray[np.uint8], lines: Sequence[TextLine]) -> list[Rule]:
    """The horizontal rules of a page whose lines stand beside each other; those of another one are of no use."""
    return find_rules(page, _usual_ascender(lines)) if has_columns(lines) else []


def _without_upright_rules(page: NDArray[np.uint8], complete: CompleteLines) -> NDArray[np.uint8]:
    """A page without the upright rules of its ink, which are read as figures beside the letters of close cells."""
    if not complete.lines:
        return page
    ascender, scale = _usual_ascender(complete.lines), complete.ink.scale
    rules = [rule.turned(1 / scale) for rule in find_upright_rules(complete.ink, ascender * scale)]
    return without_rules(page.T, rules, ascender).T if rules else page


def _in_order(
    accepted: Sequence[tuple[TextLine, Line]], rules: Sequence[Rule], leaders: Sequence[Leader] = ()
) -> tuple[list[Line], list[Box]]:
    """Lines in reading order, and the boxes of the rows of tables with rules."""
    placed, lines = [found for found, _ in accepted], [line for _, line in accepted]
    rules = rules if has_columns(placed) else []
    order = order_between_rules(placed, [line.text for line in lines], rules, leaders)
    rows = []
    for row in order.rows:
        left, top, right, bottom = zip(*(lines[index].box for index in row), strict=True)
        rows.append((min(left), min(top), max(right), max(bottom)))
    return [lines[place] for place in order.lines], rows


def _has_middle(box: Box, line: TextLine) -> bool:
    """Whether the middle of a line is inside a box."""
    x, y = line.baseline[[0, -1]].mean(axis=0).tolist()
    return bool(box[0] <= x <= box[2] and box[1] <= y - line.ascender / 2 <= box[3])


def _is_within(box: Box, other: Box) -> bool:
    """Whether at least half of a box is inside another."""
    across = min(box[2], other[2]) - max(box[0], other[0])
    down = min(box[3], other[3]) - max(box[1], other[1])
    return across > 0 and down > 0 and 2 * across * down >= (box[2] - box[0]) * (box[3] - box[1])


def _check(deadline: float) -> None:
    if perf_counter() > deadline:
        raise DeadlineExceeded("Reading takes longer than the limit; send fewer pages, or pages with fewer lines.")


def _read_lines(
    lines: Sequence[TextLine], read: Sequence[Sequence[Character]], steps: Sequence[float]
) -> list[ReadLine]:
    """Lines with their characters, and the page pixels of a time step of each."""
    return [
        ReadLine(characters, step, line.ascender) for line, characters, step in zip(lines, read, steps, strict=True)
    ]


def _line(
    found: TextLine,
    within: Frame,
    characters: list[Character],
    sure: NDArray[np.float64],
    step: float,
    *,
    in_part: bool = False,
) -> Line:
    """Make a line of its characters; `in_part` says whether other text of the line may have been left out."""
    spaces = [index for index, character in enumerate(characters) if character.text == " "]
    edges = [-1, *spaces, len(characters)]
    spans = [(before + 1, end) for before, end in pairwise(edges) if end > before + 1]
    words = tuple(
        Word(
            text="".join(character.text for character in characters[start:end]),
            confidence=float(sure[start:end].mean()),
            polygon=polygon,
        )
        for (start, end), polygon in zip(spans, _polygons(found, within, characters, spans, step, in_part), strict=True)
    )
    return Line(
        text=" ".join(word.text for word in words),
        confidence=float(sure.mean()) if words else 0.0,
        polygon=_points(found.polygon),
        baseline=_points(found.baseline),
        words=words,
    )


def _polygons(
    found: TextLine,
    within: Frame,
    characters: list[Character],
    spans: list[tuple[int, int]],
    step: float,
    in_part: bool,
) -> list[DocumentPoints]:
    """The polygons of words, given as spans of characters.

    The recogniser emits a character at its middle and a space at its end. A word therefore begins at the space before
    it and ends half-way to the space after it; the first and the last word extend to the ends of the line.
    Where other text of the line may have been left out, a word ends half a character beyond its first and last one.
    """
    if not spans:
        return []
    line_start, line_end = (_nearest(within.origins, end) / step for end in found.baseline[[0, -1]])
    edges, counts = [], []
    for start, end in spans:
        first, last = characters[start].first, characters[end - 1].last + 1
        before = characters[start - 1].last + 1 if start else min(first - 0.5, line_start)
        after = (characters[end].first + last) / 2 if end < len(characters) else max(last + 0.5, line_end)
        if in_part:
            wide = (
                (characters[end - 1].first - first) / (end - 1 - start) if end - start > 1 else within.height / 2 / step
            )
            before, after = max(before, first - wide / 2), min(after, last + wide / 2)
        edges.append((before, after))
        counts.append(max(2, round((after - before) * step / within.height) + 1))
    ends = np.cumsum(counts).tolist()
    # The points of all words at once, each word's evenly spaced.
    bounds, number = np.array(edges, float), np.array(counts)
    columns = np.arange(float(ends[-1])) - np.repeat(ends - number, number)
    columns *= np.repeat((bounds[:, 1] - bounds[:, 0]) / (number - 1), number)
    columns += np.repeat(bounds[:, 0], number)
    columns[np.array(ends) - 1] = bounds[:, 1]
    columns *= step
    pixel = max(float(np.hypot(*within.downs[0])), 1e-6)
    rows = np.array([[within.baseline_row + reach / pixel] for reach in (-found.ascender, found.descender)])
    upper, lower = map(_points, within.to_page(columns, rows))
    return [upper[start:end] + lower[start:end][::-1] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _nearest(points: Points, point: Points) -> int:
    """Index of the point that is nearest to another."""
    across, down = points.T - point[:, None]
    return int((across * across + down * down).argmin())


@dataclass(frozen=True)
class _Placement:
    """Position of a turned and scaled part in another image.

    Attributes
    ----------
    turn : int
        Quarter turns of the part, anticlockwise.
    shown : tuple of int
        Width and height of the part before it was turned.
    scale : tuple of float
        Pixels of the image per pixel of the part, horizontally and vertically.
    offset : tuple of float
        Position of the part's upper left corner in the image.
    """

    turn: int
    shown: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float] = (0.0, 0.0)

    def points(self, points: DocumentPoints) -> DocumentPoints:
        """Map points of the turned part to the image."""
        width, height = self.shown
        if self.turn == 1:
            points = tuple((width - y, x) for x, y in points)
        elif self.turn == 2:
            points = tuple((width - x, height - y) for x, y in points)
        elif self.turn == 3:
            points = tuple((y, height - x) for x, y in points)
        (across, down), (left, top) = self.scale, self.offset
        if (across, down, left, top) == (1.0, 1.0, 0.0, 0.0):
            return points
        return tuple((x * across + left, y * down + top) for x, y in points)

    def line(self, line: Line) -> Line:
        """Map a line of the turned part to the image."""
        words = tuple(replace(word, polygon=self.points(word.polygon)) for word in line.words)
        return replace(line, polygon=self.points(line.polygon), baseline=self.points(line.baseline), words=words)


def _points(points: Points) -> DocumentPoints:
    return tuple(map(tuple, points.tolist()))
