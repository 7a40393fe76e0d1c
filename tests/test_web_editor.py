"""Correction in the browser, in a real Chromium: what is typed, drawn, undone, kept and saved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pypdfium2
import pytest
import test_web
from axe_playwright_python.sync_playwright import Axe
from lxml import etree
from playwright.sync_api import FilePayload, Page, expect
from test_web import HOSTILE, STAGE, Answer, Opener, Service, answer, give, png, problem

from local.screenshots import CHROMIUM, PHONE
from local.serve import Event, lambda_context
from paragraph_ocr.correction import fit_words, parse_document
from paragraph_ocr.document import Word
from paragraph_ocr.formats import FORMATS
from service import openapi
from service import routes as app
from training.data.corrections import convert

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's Chromium is not installed")

browser, running, service = test_web.browser, test_web.running, test_web.service
open_page, page = test_web.open_page, test_web.page

SCHEMAS = json.loads(openapi.FILE.read_text(encoding="utf-8"))
NAMESPACE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"


def rectangle(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def flat(points: list[list[float]]) -> list[float]:
    return [each for point in points for each in point]


def read_line(text: str, top: float, *confidences: float) -> dict[str, Any]:
    """A line as the API answers it, with a confidence for each word; words without one are sure."""
    texts = text.split()
    step = 500 / len(texts)
    shares = [*confidences, *[0.99] * (len(texts) - len(confidences))]
    words = [
        {"text": each, "confidence": share, "polygon": rectangle(50 + at * step, top, 45 + (at + 1) * step, top + 40)}
        for at, (each, share) in enumerate(zip(texts, shares, strict=True))
    ]
    polygon = rectangle(50, top, 550, top + 40)
    return {"text": text, "confidence": 0.9, "polygon": polygon, "baseline": [[50, top + 30], [550, top + 30]],
            "box": [50, top, 550, top + 40], "words": words}  # fmt: skip


def read_page(*lines: dict[str, Any], number: int = 1) -> dict[str, Any]:
    blocks = [{"type": "paragraph", "lines": list(range(len(lines))), "box": [50, 20, 550, 300]}] if lines else []
    return {"image": "scan.png", "page": number, "width": 600, "height": 400, "rotation": 0,
            "text": "\n".join(line["text"] for line in lines), "confidence": 0.9,
            "content": "text", "lines": list(lines),
            "blocks": blocks, "model": {"detector": "a@1", "recognizer": "b@2"},
            "timings_ms": {"total": 100.0}}  # fmt: skip


PAGE = read_page(
    read_line("the first line", 20, 0.99, 0.7),
    read_line("a second one", 100, 0.4, 0.99, 0.8),
    read_line(f"and {HOSTILE}", 180),
)
PAGE["blocks"][0]["hard_breaks"] = [0, 1]


def replies(*pages: dict[str, Any]) -> Callable[[Event], Answer]:
    """Answers reading with these pages, and lets the handler answer everything else."""
    read = pages[0] if len(pages) == 1 else {"image": "a.pdf", "text": "", "confidence": 0.9, "pages": list(pages)}

    def reply(event: Event) -> Answer:
        return answer(200, read) if event["path"] == "/ocr" else app.handler(event, lambda_context(event))

    return reply


@pytest.fixture
def shown(page: Page, service: Service) -> Page:
    """The page with three lines that were read."""
    service.reply = replies(PAGE)
    give(page)
    return page


def texts(page: Page) -> list[str]:
    """The lines of the list, without what stands behind them."""
    shown = page.locator("#pages li > span:first-of-type").all_text_contents()
    return [" ".join(text.split()) for text in shown]


def tool(page: Page, name: str) -> Any:
    return page.get_by_role("toolbar").get_by_role("button", name=name)


def field(page: Page) -> Any:
    return page.locator("textarea")


def line(page: Page, number: int) -> Any:
    return page.locator("#pages li").nth(number - 1)


def status(page: Page) -> Any:
    return page.get_by_role("status").first


def download(page: Page, form: str) -> bytes:
    page.get_by_label("Format").select_option(form)
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Download").click()
    return downloaded.value.path().read_bytes()


def saved(page: Page) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(download(page, "json"))
    schema = {"$ref": "#/components/schemas/Page", "components": SCHEMAS["components"]}
    checker = jsonschema.Draft202012Validator(schema)
    checker.validate(content)
    # The server takes it as it is.
    assert parse_document(content, 10, 500).pages[0].text == content["text"]
    return content


def test_the_text_of_a_line_is_changed_in_place(shown: Page) -> None:
    line(shown, 2).click()
    expect(field(shown)).to_be_focused()
    expect(field(shown)).to_have_value("a second one")
    expect(field(shown)).to_have_accessible_name("Text of line 2")
    field(shown).fill("a second line")
    shown.keyboard.press("Enter")
    expect(field(shown)).to_have_accessible_name("Text of line 3")
    assert texts(shown)[:2] == ["the first line", "a second line"]
    expect(shown.locator("#state")).to_have_text("1 line changed, not saved")
    expect(line(shown, 2).locator(".share")).to_have_text("corrected")
    expect(shown.locator("polygon").nth(1)).to_have_class(re.compile("corrected"))
    expect(shown.locator("#legend")).to_contain_text("corrected")


def test_keys_go_from_line_to_line(shown: Page) -> None:
    line(shown, 1).focus()
    names = []
    for key in ("Enter", "Enter", "ArrowDown", "Shift+Enter", "ArrowUp"):
        shown.keyboard.press(key)
        names.append(field(shown).get_attribute("aria-label"))
    assert names == [f"Text of line {number}" for number in (1, 2, 3, 2, 1)]
    # After the last line, and before the first, the line itself has the focus.
    shown.keyboard.press("ArrowUp")
    expect(line(shown, 1)).to_be_focused()
    expect(field(shown)).to_have_count(0)
    shown.keyboard.press("F2")
    shown.keyboard.type("xyz")
    shown.keyboard.press("Escape")
    expect(line(shown, 1)).to_be_focused()
    assert texts(shown)[0] == "the first line"
    expect(shown.locator("#state")).to_be_empty()


def test_what_is_clicked_beside_takes_the_text(shown: Page) -> None:
    line(shown, 1).click()
    field(shown).fill("another")
    line(shown, 3).click()
    expect(field(shown)).to_have_accessible_name("Text of line 3")
    assert texts(shown)[0] == "another"
    shown.locator("polygon").nth(1).click()
    expect(line(shown, 2)).to_be_focused()


def test_every_step_is_undone_and_done_again(shown: Page) -> None:
    before = texts(shown)
    line(shown, 1).click()
    field(shown).fill("changed")
    shown.keyboard.press("Escape")
    shown.keyboard.press("Enter")
    field(shown).fill("changed")
    shown.keyboard.press("Enter")
    shown.keyboard.press("F9")
    line(shown, 3).focus()
    shown.keyboard.press("Alt+ArrowUp")
    shown.keyboard.press("Delete")
    after = texts(shown)
    assert after == ["changed", "unreadable"]
    expect(tool(shown, "Redo")).to_have_attribute("aria-disabled", "true")
    for focused in (2, 3, 2, 1):
        shown.keyboard.press("Control+z")
        expect(line(shown, focused)).to_be_focused()
    assert texts(shown) == before
    expect(status(shown)).to_have_text("Undone: Line 1 changed")
    expect(shown.locator("#state")).to_be_empty()
    expect(tool(shown, "Undo")).to_have_attribute("aria-disabled", "true")
    for key in ("Control+Shift+z", "Control+y", "Control+Shift+z", "Control+y"):
        shown.keyboard.press(key)
    assert texts(shown) == after
    expect(status(shown)).to_have_text("Done again: Line 2 deleted")
    # A new step takes the place of those undone.
    shown.keyboard.press("Control+z")
    tool(shown, "Unreadable").click()
    expect(tool(shown, "Redo")).to_have_attribute("aria-disabled", "true")


def test_undo_in_the_text_first_undoes_what_was_typed(shown: Page) -> None:
    line(shown, 1).click()
    field(shown).fill("changed")
    shown.keyboard.press("Enter")
    shown.keyboard.type(" more")
    shown.keyboard.press("Control+z")
    expect(field(shown)).to_have_value("a second one")
    assert texts(shown)[0] == "changed"
    shown.keyboard.press("Control+z")
    assert texts(shown)[0] == "the first line"


def test_doubtful_words_are_visited_the_least_certain_first(shown: Page) -> None:
    expect(tool(shown, "Next doubtful")).to_have_text("Next doubtful (3)")
    selected = """() => {
        const { value, selectionStart, selectionEnd } = document.activeElement;
        return value.slice(selectionStart, selectionEnd);
    }"""
    line(shown, 3).focus()
    visited = []
    for _ in range(4):
        shown.keyboard.press("F8")
        visited.append((shown.evaluate(selected), field(shown).get_attribute("aria-label")[-1]))
        expect(shown.locator("polygon.word")).to_have_count(1)
    assert visited == [("a", "2"), ("first", "1"), ("one", "2"), ("a", "2")]
    expect(status(shown)).to_have_text("a, 40 %, line 2")
    # Typing takes the place of the word, which is certain then.
    shown.keyboard.type("the")
    shown.keyboard.press("Enter")
    assert texts(shown)[1] == "the second one"
    expect(tool(shown, "Next doubtful")).to_have_text("Next doubtful (2)")
    expect(line(shown, 2).locator("span.doubtful")).to_have_text(["one"])
    tool(shown, "Next doubtful").click()
    assert shown.evaluate(selected) == "first"
    # A line that is right has no doubtful words, and the next one is gone to.
    shown.keyboard.press("Control+Enter")
    assert shown.evaluate(selected) == "one"
    expect(line(shown, 1).locator(".share")).to_have_text("confirmed")
    shown.keyboard.press("Control+Enter")
    expect(tool(shown, "Next doubtful")).to_have_attribute("aria-disabled", "true")
    content = saved(shown)
    assert [word["confidence"] for each in content["lines"][:2] for word in each["words"]] == [1.0] * 6
    assert [each.get("reading") for each in content["lines"]] == ["the first line", "a second one", None]


def test_unreadable_lines_are_marked_so_that_training_leaves_them_out(shown: Page) -> None:
    line(shown, 2).focus()
    shown.keyboard.press("F9")
    expect(status(shown)).to_have_text("Line 2 is unreadable")
    expect(line(shown, 2)).to_contain_text("unreadable")
    # A line whose text is erased is as good as that.
    line(shown, 1).click()
    field(shown).fill("  ")
    shown.keyboard.press("Enter")
    content = saved(shown)
    assert [(each["text"], each.get("unreadable")) for each in content["lines"][:2]] == [("", True)] * 2
    lines, ignore, _ = convert(content, 600, 400)
    assert len(lines) == 1
    assert ignore == [content["lines"][at]["polygon"] for at in (0, 1)]
    line(shown, 2).focus()
    shown.keyboard.press("F9")
    assert texts(shown)[1] == "a second one"
    expect(line(shown, 2).locator("span.doubtful")).to_have_count(2)


def test_lines_are_deleted(shown: Page) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("Delete")
    expect(line(shown, 1)).to_be_focused()
    expect(line(shown, 1)).to_contain_text("a second one")
    expect(shown.locator("#pages svg")).to_have_attribute("aria-label", "The page with 2 lines drawn on it")
    tool(shown, "Delete").click()
    content = saved(shown)
    assert [each["text"] for each in content["lines"]] == [f"and {HOSTILE}"]
    assert content["blocks"] == [{"type": "paragraph", "lines": [0], "box": [50, 180, 550, 220], "hard_breaks": []}]
    assert content["reading"].startswith("the first line\na second one\n")
    assert convert(content, 600, 400)[2].deleted == 2
    tool(shown, "Delete").click()
    expect(shown.get_by_text("No text was found here.")).to_be_focused()
    expect(tool(shown, "Delete")).to_have_attribute("aria-disabled", "true")


def test_lines_change_places(shown: Page) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("Alt+ArrowDown")
    expect(line(shown, 2)).to_be_focused()
    assert texts(shown)[:2] == ["a second one", "the first line"]
    tool(shown, "Move the line down").click()
    expect(tool(shown, "Move the line down")).to_have_attribute("aria-disabled", "true")
    assert saved(shown)["text"] == f"a second one\nand {HOSTILE}\nthe first line"


def test_a_line_is_added_by_keyboard_alone(shown: Page) -> None:
    line(shown, 3).focus()
    shown.keyboard.press("Insert")
    frame = shown.get_by_role("application", name="Frame of the new line 4")
    expect(frame).to_be_focused()
    # Under the line, and like it; then 4 pixels to the right and a pixel up, wider, and rising.
    for key in ("ArrowRight", "Control+ArrowUp", "Shift+ArrowLeft", "Alt+ArrowUp"):
        shown.keyboard.press(key)
    expect(status(shown)).to_have_text(re.compile(r"^54, 223, 496 by 44 pixels$"))
    shown.keyboard.press("Enter")
    expect(field(shown)).to_have_accessible_name("Text of line 4")
    shown.keyboard.type("the last line")
    shown.keyboard.press("Enter")
    expect(line(shown, 4)).to_be_focused()
    added = saved(shown)["lines"][3]
    assert added["text"] == "the last line"
    assert added["polygon"] == [[54, 227], [550, 223], [550, 263], [54, 267]]
    assert added["baseline"] == [[54, 258.6], [550, 254.6]]
    assert [word["text"] for word in added["words"]] == ["the", "last", "line"]
    assert (added["corrected"], "reading" in added) == (True, False)
    # The frame and the text are a step each.
    shown.keyboard.press("Control+z")
    shown.keyboard.press("Control+z")
    assert len(texts(shown)) == 3


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the screen."""
    box = page.locator("figure svg").bounding_box()
    assert box
    return box["x"] + x * box["width"] / 600, box["y"] + y * box["height"] / 400


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *[(a + b) / 2 for a, b in zip(start, end, strict=True)]))
    page.mouse.move(*place(page, *end))
    page.mouse.up()


def test_a_line_is_drawn_where_it_belongs(shown: Page) -> None:
    line(shown, 3).focus()
    tool(shown, "Add").click()
    # Between the first and the second line, from below.
    drag(shown, (500, 95), (100, 65))
    tool(shown, "Apply").click()
    expect(field(shown)).to_have_accessible_name("Text of line 2")
    field(shown).fill("in between")
    shown.keyboard.press("Escape")
    shown.keyboard.press("Enter")
    field(shown).fill("in between")
    shown.keyboard.press("Shift+Enter")
    content = saved(shown)
    assert [each["text"] for each in content["lines"][:3]] == ["the first line", "in between", "a second one"]
    assert content["lines"][1]["box"] == pytest.approx([100, 65, 500, 95], abs=1.5)
    assert content["blocks"][0]["lines"] == [0, 1, 2, 3]
    assert content["blocks"][0]["hard_breaks"] == [0, 1, 2]


def test_a_line_is_redrawn_by_its_corners_and_moved(shown: Page) -> None:
    line(shown, 2).focus()
    tool(shown, "Redraw").click()
    expect(shown.get_by_role("application", name="Frame of line 2")).to_be_visible()
    corner = shown.locator(".corner").nth(1).bounding_box()
    assert corner
    # The handle of the upper right corner, 30 pixels of the picture higher.
    box = shown.locator("figure svg").bounding_box()
    assert box
    x, y = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    shown.mouse.move(x, y)
    shown.mouse.down()
    shown.mouse.move(x, y - 30 * box["height"] / 400, steps=3)
    shown.mouse.up()
    # The frame as a whole, 20 pixels to the left.
    drag(shown, (200, 120), (180, 120))
    shown.keyboard.press("Enter")
    expect(status(shown)).to_have_text("Frame of line 2 changed")
    redrawn = saved(shown)["lines"][1]
    assert flat(redrawn["polygon"]) == pytest.approx([30, 100, 530, 70, 530, 140, 30, 140], abs=1.5)
    assert (redrawn["text"], redrawn["reading"], redrawn["corrected"]) == ("a second one", "a second one", True)
    # Its words are on it, as doubtful as they were.
    assert [word["confidence"] for word in redrawn["words"]] == [0.4, 0.99, 0.8]
    assert redrawn["words"][0]["polygon"][0] == redrawn["polygon"][0]
    assert redrawn["words"][2]["polygon"][1] == redrawn["polygon"][1]
    assert convert(saved(shown), 600, 400)[2].any


def test_a_frame_that_is_only_moved_keeps_the_outline(page: Page, service: Service) -> None:
    curved = read_line("one curved line", 100)
    curved["polygon"] = [[50, 100], [300, 80], [550, 100], [550, 140], [300, 120], [50, 140]]
    service.reply = replies(read_page(curved))
    give(page)
    line(page, 1).focus()
    page.keyboard.press("F4")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    moved = saved(page)["lines"][0]
    assert moved["polygon"] == [[x, y + 4] for x, y in curved["polygon"]]
    word = [[x, y + 4] for x, y in curved["words"][1]["polygon"]]
    assert flat(moved["words"][1]["polygon"]) == pytest.approx(flat(word), abs=0.06)
    # Which a frame that is left does not.
    page.keyboard.press("F4")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Escape")
    expect(line(page, 1)).to_be_focused()
    expect(page.locator(".frame, .corner")).to_have_count(0)
    assert saved(page)["lines"][0] == moved


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_lines_of_turned_pages_are_drawn_as_they_run(page: Page, service: Service, turn: int) -> None:
    baseline = {1: [[300, 50], [300, 350]], 2: [[550, 200], [50, 200]], 3: [[300, 350], [300, 50]]}[turn]
    corners = [[280, 50], [320, 50], [320, 350], [280, 350]]
    if turn == 2:
        corners = rectangle(50, 190, 550, 230)
    own = read_line("turned", 0) | {"polygon": corners[turn:] + corners[:turn], "baseline": baseline}
    service.reply = replies(read_page(own) | {"rotation": 90 * turn})
    give(page)
    line(page, 1).focus()
    page.keyboard.press("F4")
    drag(page, (400, 100), (450, 300))
    page.keyboard.press("Enter")
    drawn = saved(page)["lines"][0]
    box = rectangle(400, 100, 450, 300)
    assert flat(drawn["polygon"]) == pytest.approx(flat(box[turn:] + box[:turn]), abs=1.5)
    runs = [b - a for a, b in zip(*drawn["baseline"], strict=True)]
    assert [round(each / 10) for each in runs] == {1: [0, 20], 2: [-5, 0], 3: [0, -20]}[turn]


def reload(page: Page) -> list[str]:
    """Load the page again; the kinds of questions that the browser asked before."""
    asked: list[str] = []

    def accept(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    # Drafts are written soon after each step, not within it.
    page.wait_for_timeout(500)
    page.reload()
    page.remove_listener("dialog", accept)
    return asked


def test_a_reload_loses_nothing(shown: Page, service: Service) -> None:
    line(shown, 1).click()
    field(shown).fill("changed")
    shown.keyboard.press("Enter")
    line(shown, 3).focus()
    shown.keyboard.press("Delete")
    expect(line(shown, 2)).to_be_focused()
    shown.keyboard.press("Enter")
    shown.keyboard.type(", unfinished")
    assert reload(shown) == ["beforeunload"]
    expect(field(shown)).to_have_value("a second one, unfinished")
    expect(status(shown)).to_have_text("Your corrections are as they were.")
    expect(shown.get_by_role("heading", name="scan.png")).to_be_visible()
    expect(shown.locator("figure img")).to_be_visible()
    assert len(service.posted) == 1
    shown.keyboard.press("Enter")
    assert texts(shown) == ["changed", "a second one, unfinished"]
    for _ in range(3):
        shown.keyboard.press("Control+z")
    assert texts(shown) == ["the first line", "a second one", f"and {HOSTILE}"]
    for _ in range(3):
        shown.keyboard.press("Control+y")
    assert [each["text"] for each in saved(shown)["lines"]] == ["changed", "a second one, unfinished"]
    # The picture is still there for a PDF.
    assert download(shown, "pdf").startswith(b"%PDF-")
    # What is saved need not be kept.
    expect(shown.locator("#state")).to_have_text("3 lines changed, saved")
    assert reload(shown) == []
    expect(shown.locator("#intake")).to_be_visible()
    shown.wait_for_timeout(300)
    expect(shown.locator("#result")).to_be_hidden()


@pytest.mark.parametrize(("form", "is_saved"), [("json", True), ("page", True), ("text", False), ("alto", False)])
def test_corrections_are_saved_by_what_holds_all_of_them(shown: Page, form: str, is_saved: bool) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("F9")
    download(shown, form)
    expect(shown.locator("#state")).to_have_text(f"1 line changed, {'saved' if is_saved else 'not saved'}")
    assert reload(shown) == ([] if is_saved else ["beforeunload"])


def test_what_is_not_saved_is_not_replaced_unasked(shown: Page, service: Service) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("F9")
    dialog = shown.get_by_role("dialog", name="The corrections are not saved")
    other: FilePayload = png() | {"name": "other.png"}
    shown.locator("#file").set_input_files(other)
    dialog.get_by_role("button", name="Go on correcting").click()
    expect(shown.get_by_role("heading", name="scan.png")).to_be_visible()
    assert len(service.posted) == 1
    shown.locator("#file").set_input_files(other)
    with shown.expect_download() as downloaded:
        dialog.get_by_role("button", name="Save them as JSON").click()
    assert json.loads(downloaded.value.path().read_text())["lines"][0]["unreadable"] is True
    expect(shown.get_by_role("heading", name="other.png")).to_be_visible()
    line(shown, 1).focus()
    shown.keyboard.press("F9")
    shown.locator("#file").set_input_files(png())
    dialog.get_by_role("button", name="Discard them").click()
    expect(shown.get_by_role("heading", name="scan.png")).to_be_visible()
    assert texts(shown)[0] == "the first line"
    assert reload(shown) == []


def test_control_s_saves(shown: Page) -> None:
    line(shown, 1).click()
    field(shown).fill("changed")
    with shown.expect_download() as downloaded:
        shown.keyboard.press("Control+s")
    assert downloaded.value.suggested_filename == "scan.json"
    assert json.loads(downloaded.value.path().read_text())["lines"][0]["text"] == "changed"


def test_tabs_keep_corrections_of_their_own(shown: Page, running: tuple[Service, str]) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("F9")
    expect(shown.locator("#state")).to_have_text("1 line changed, not saved")
    other = shown.context.new_page()
    other.goto(running[1])
    other.wait_for_timeout(300)
    expect(other.locator("#result")).to_be_hidden()
    other.close()
    reload(shown)
    expect(shown.locator("#state")).to_have_text("1 line changed, not saved")


def test_the_sample_is_corrected_and_written_in_every_format(page: Page, service: Service) -> None:
    page.get_by_role("button", name="Try the sample").click()
    expect(page.locator("#result")).to_be_visible()
    before = texts(page)
    line(page, 2).click()
    field(page).fill("Dear Marguerite,")
    page.keyboard.press("Enter")
    page.keyboard.press("F9")
    line(page, 4).focus()
    page.keyboard.press("Delete")
    content = saved(page)
    assert [each["text"] for each in content["lines"]] == [before[0], "Dear Marguerite,", "", *before[4:]]
    _, _, changes = convert(content, content["width"], content["height"])
    assert (changes.corrected, changes.deleted, changes.kept) == (2, 1, len(before) - 3)
    # Saving JSON asks the API for nothing.
    assert len(service.posted) == 1
    for form in FORMATS:
        written = download(page, form)
        if form == "pdf":
            written = pypdfium2.PdfDocument(written)[0].get_textpage().get_text_range().encode()
        if form != "csv":
            assert b"Marguerite," in written
        assert before[3].split()[0].encode() not in written or form == "json"
        if form == "page":
            root = etree.fromstring(written)
            read = [
                each.findtext(f"{NAMESPACE}TextEquiv/{NAMESPACE}Unicode") for each in root.iter(f"{NAMESPACE}TextLine")
            ]
            assert read == [each["text"] for each in content["lines"]]
    assert {event["path"] for event in service.posted[1:]} == {"/convert"}
    # Without corrections it is what was read that is written.
    for _ in range(3):
        page.keyboard.press("Control+z")
    line(page, 1).focus()
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert texts(page) == before
    assert b"Dear Margaret" in download(page, "text")


def test_copies_what_is_corrected(open_page: Opener, service: Service) -> None:
    service.reply = replies(PAGE)
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    give(page)
    line(page, 1).click()
    field(page).fill("changed")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#saved")).to_contain_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"changed\na second one\nand {HOSTILE}\n"


def test_a_failure_loses_nothing(shown: Page, service: Service) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("F9")
    service.reply = lambda _: problem(429, "Too many requests", "Wait a moment.")
    shown.get_by_label("Format").select_option("page")
    shown.get_by_role("button", name="Download").click()
    expect(shown.get_by_role("alert")).to_contain_text("Wait a moment.")
    expect(shown.locator("#state")).to_have_text("1 line changed, not saved")
    # JSON is saved without the service.
    assert saved(shown)["lines"][0]["unreadable"] is True


def test_any_text_can_be_typed(shown: Page) -> None:
    typed = f"  {HOSTILE}\x07 a\tb\u2028c \u05e9\u05dc\u05d5\u05dd & \U0001f600  "
    line(shown, 1).click()
    field(shown).fill(typed)
    shown.keyboard.press("Enter")
    assert saved(shown)["lines"][0]["text"] == f"{HOSTILE} a b c \u05e9\u05dc\u05d5\u05dd & \U0001f600"
    line(shown, 2).click()
    shown.evaluate("navigator.clipboard.writeText = null")
    field(shown).evaluate("(each) => { each.setRangeText('x'.repeat(20), 0, 0); }")
    shown.keyboard.insert_text("y" * 2000)
    assert len(field(shown).input_value()) == 1000


def test_lines_of_all_pages_are_one_after_another(page: Page, service: Service) -> None:
    pages = [read_page(read_line("one", 20)), read_page(number=2), read_page(read_line("two", 20, 0.3), number=3)]
    service.reply = replies(*pages)
    give(page, {"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"})
    line(page, 1).click()
    field(page).fill("uno")
    page.keyboard.press("Enter")
    expect(field(page)).to_have_value("two")
    page.keyboard.press("F8")
    page.keyboard.type("due")
    page.keyboard.press("Shift+Enter")
    expect(field(page)).to_have_value("uno")
    # A line on the page that has none.
    page.get_by_text("No text was found here.").focus()
    tool(page, "Add").click()
    page.keyboard.press("Enter")
    page.keyboard.type("between")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.keyboard.type("between")
    page.keyboard.press("Enter")
    content = json.loads(download(page, "json"))
    assert [each["text"] for sheet in content["pages"] for each in sheet["lines"]] == ["uno", "between", "due"]
    assert content["text"] == "uno\fbetween\fdue"
    assert content["pages"][1]["blocks"][0]["lines"] == [0]
    assert download(page, "text").decode() == "uno\n\fbetween\n\fdue\n"


CASES = [
    ("one two three four", "one twenty too three four"),
    ("one two three four", "new one two three four"),
    ("one two three four", "one two new three four"),
    ("one two three four", "one two three four new"),
    ("one two three four", "two"),
    ("one two three four", "one x three y"),
    ("one two", "three"),
    ("one two", ""),
    ("", "one two"),
]


def test_words_are_placed_as_the_service_places_them(page: Page) -> None:
    polygon = [[50, 100], [300, 90], [550, 60], [550, 100], [300, 130], [50, 140]]
    outline = tuple((float(x), float(y)) for x, y in polygon)
    script = "async ([text, words, polygon]) => (await import('./web/correction.js')).fitWords(text, words, polygon)"
    for before, after in CASES:
        old = fit_words(before, (), outline)
        old = tuple(Word(word.text, 0.5, word.polygon) for word in old)
        own = [
            {"text": word.text, "confidence": 0.5, "polygon": [list(point) for point in word.polygon]} for word in old
        ]
        placed = page.evaluate(script, [after, own, polygon])
        expected = fit_words(after, old, outline)
        assert [(word["text"], word["confidence"]) for word in placed] == [
            (word.text, word.confidence) for word in expected
        ]
        for word, wanted in zip(placed, expected, strict=True):
            assert flat(word["polygon"]) == pytest.approx(flat([list(point) for point in wanted.polygon]), abs=0.11)


def test_the_tools_are_one_stop_of_the_tab_key(shown: Page) -> None:
    line(shown, 2).focus()
    shown.keyboard.press("Tab")
    names = [shown.evaluate("document.activeElement.textContent")]
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowRight", "ArrowLeft", "Home"):
        shown.keyboard.press(key)
        names.append(shown.evaluate("document.activeElement.textContent"))
    assert names == ["Undo", "Redo", "Next doubtful (3)", "Keys", "Undo", "Keys", "Undo"]
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    # They work on the line that had the focus last.
    for _ in range(4):
        shown.keyboard.press("ArrowRight")
    shown.keyboard.press("Enter")
    assert texts(shown)[1] == "unreadable"
    expect(line(shown, 2)).to_be_focused()
    shown.keyboard.press("Tab")
    shown.keyboard.press("Home")
    shown.keyboard.press("Enter")
    assert texts(shown)[1] == "a second one"
    expect(tool(shown, "Undo")).to_be_focused()


def test_the_keys_are_told(shown: Page) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("F1")
    dialog = shown.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Go to the next doubtful word")
    shown.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(line(shown, 1)).to_be_focused()


def test_says_the_structure_of_a_correction_to_a_screen_reader(shown: Page) -> None:
    line(shown, 1).focus()
    shown.keyboard.press("F9")
    line(shown, 2).click()
    expect(shown.locator("#result")).to_match_aria_snapshot("""
        - region "scan.png":
          - article:
            - list:
              - listitem: unreadable corrected
              - listitem:
                - textbox "Text of line 2": a second one
          - toolbar "Correct the lines":
            - button "Undo"
            - button "Redo" [disabled]
            - button "Next doubtful (2)"
            - button "Confirm"
            - button "Unreadable"
            - button "Add"
            - button "Redraw"
            - button "Delete"
            - button "Move the line up in the order": ↑
            - button "Move the line down in the order": ↓
            - button "Keys"
          - paragraph: 1 line changed, not saved
    """)


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_has_no_accessibility_fault_that_axe_finds(
    open_page: Opener, service: Service, options: dict[str, Any]
) -> None:
    service.reply = replies(PAGE)
    page = open_page(**options, reduced_motion="reduce")
    give(page)
    faults = []

    def check(state: str) -> None:
        found = Axe().run(page)
        faults.extend((state, each["id"], each["nodes"][0]["html"]) for each in found.response["violations"])

    line(page, 1).focus()
    page.keyboard.press("F9")
    page.keyboard.press("F8")
    check("text")
    page.keyboard.type("the")
    page.keyboard.press("Enter")
    page.keyboard.press("F4")
    check("frame")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    check("corrected")
    page.keyboard.press("F1")
    check("keys")
    page.keyboard.press("Escape")
    page.locator("#file").set_input_files(png())
    expect(page.locator("#leave-dialog")).to_be_visible()
    check("leave")
    assert faults == []


@pytest.mark.parametrize("width", [320, 390])
def test_works_on_a_phone(open_page: Opener, service: Service, width: int) -> None:
    service.reply = replies(PAGE)
    page = open_page(**{**PHONE, "viewport": {"width": width, "height": 700}})
    give(page)
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    line(page, 3).tap()
    field(page).fill("by hand, and much longer than before, so that it takes more than one row of the small screen")
    assert page.evaluate(overflow) <= 0
    scrolled = field(page).evaluate("(each) => each.scrollHeight - each.clientHeight")
    assert scrolled <= 2
    # The text is between the picture and the tools.
    picture, text, tools = (page.locator(each).bounding_box() for each in ("figure", "textarea", "#correcting"))
    assert picture
    assert text
    assert tools
    assert picture["y"] + picture["height"] <= text["y"] + 1
    assert text["y"] + text["height"] <= tools["y"] + 1
    assert tools["y"] + tools["height"] <= 701
    tool(page, "Redraw").tap()
    box = page.locator("figure svg").bounding_box()
    assert box
    tool(page, "Apply").tap()
    tool(page, "Delete").tap()
    assert len(texts(page)) == 2
    assert page.evaluate(overflow) <= 0


def test_every_script_keeps_to_its_own_files() -> None:
    for script in (Path(app.WEB)).glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(", script.read_text(encoding="utf-8"))


def test_the_stage_is_before_every_path(running: tuple[Service, str]) -> None:
    assert running[1].endswith(STAGE + "/")
