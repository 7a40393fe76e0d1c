"""The page in a real Chromium, on the handler behind the local gateway: what people do with it, and what they see."""

import base64
import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from local.screenshots import CHROMIUM, DESKTOP, PHONE, chromium, served
from local.serve import Event
from paragraph_ocr.formats import FORMATS
from service import routes as app

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's Chromium is not installed")

WEB = Path(__file__).parents[1] / "function" / "paragraph_ocr" / "web"
# API Gateway puts the stage before every path, so the page may use none that begins at the root.
STAGE = "/v1"
# A busy machine takes its time.
expect.set_options(timeout=20_000)
HOSTILE = "<img src=x onerror=alert(1)>"
Answer = dict[str, Any]


def answer(status: int, body: Any, content_type: str = "application/json") -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"statusCode": status, "headers": {"Content-Type": content_type}, "body": text, "isBase64Encoded": False}


def problem(status: int, title: str, detail: str) -> Answer:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": "id-of-request"}
    return answer(status, body, "application/problem+json")


def read_page(number: int = 1, **confidences: float) -> Answer:
    """A page with a line for each text and confidence, as the API answers it."""
    lines = []
    for row, (text, confidence) in enumerate(confidences.items()):
        top, bottom = 100 * row + 20, 100 * row + 80
        polygon = [[50, top], [550, top], [550, bottom], [50, bottom]]
        word = {"text": text, "confidence": confidence, "polygon": polygon}
        lines.append({"text": text, "confidence": confidence, "polygon": polygon, "words": [word],
                      "baseline": [[50, bottom - 10], [550, bottom - 10]], "box": [50, top, 550, bottom]})  # fmt: skip
    return {"image": "scan.png", "page": number, "width": 600, "height": 400, "rotation": 0,
            "text": "\n".join(confidences), "confidence": 0.9, "content": "text" if lines else "none", "lines": lines,
            "model": {}, "timings_ms": {"total": 1234.5}}  # fmt: skip


PAGE = read_page(**{"first line": 0.99, "second": 0.9, HOSTILE: 0.5})


class Service:
    """The handler behind a stage, or, where a test sets `reply`, that in place of it for what is posted."""

    def __init__(self) -> None:
        self.reply: Callable[[Event], Answer] | None = None
        self.posted: list[Event] = []
        self._known: dict[tuple[str, str], Answer] = {}

    def __call__(self, event: Event, context: Any) -> Answer:
        assert event["path"].startswith(STAGE + "/"), event["path"]
        event = {**event, "path": event["path"].removeprefix(STAGE)}
        if event["httpMethod"] != "POST":
            return app.handler(event, context)
        self.posted.append(event)
        if self.reply:
            return self.reply(event)
        # The sample is read once in each form for all tests.
        asked = (event["body"], str(event["queryStringParameters"]))
        if asked not in self._known:
            self._known[asked] = app.handler(event, context)
        return self._known[asked]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Service, str]]:
    service = Service()
    with served(service) as gateway:
        yield service, gateway.url.rstrip("/") + STAGE + "/"


@pytest.fixture
def service(running: tuple[Service, str]) -> Service:
    service, _ = running
    service.reply, service.posted = None, []
    return service


Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, running: tuple[Service, str], service: Service) -> Iterator[Opener]:
    """Opens the page; in the end nothing may have gone wrong in it, and nobody else been asked for anything."""
    _, url = running
    contexts, errors = [], []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**{**DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.append(request.url) if not own(request.url) else None)
        page.goto(url)
        return page

    def own(address: str) -> bool:
        return address.startswith((url, f"blob:{url.partition('/v1')[0]}/", "data:"))

    yield open_page
    for context in contexts:
        context.close()
    # A refused request is an error to Chromium's console.
    assert [error for error in errors if "Failed to load resource" not in error] == []


@pytest.fixture
def page(open_page: Opener) -> Page:
    return open_page()


def png(width: int = 600, height: int = 400) -> FilePayload:
    buffer = io.BytesIO()
    Image.new("L", (width, height), 240).save(buffer, "PNG")
    return {"name": "scan.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def with_page(service: Service) -> None:
    service.reply = lambda _: answer(200, PAGE)


def give(page: Page, payload: FilePayload | None = None) -> None:
    """Choose a file and wait until it has been read."""
    page.locator("#file").set_input_files(payload or png())
    expect(page.locator("#result")).to_be_visible()


def sent_image(event: Event) -> tuple[str, bytes]:
    body = json.loads(event["body"])
    return body["image_name"], base64.b64decode(body["image_base64"].partition(",")[2])


def texts(lines: Locator) -> list[str]:
    return [re.sub(r"\s*confidence \d+ %$", "", text or "") for text in lines.all_text_contents()]


def test_every_file_that_the_page_names_is_packaged() -> None:
    named = re.findall(r'(?:href|src)="web/([^"]+)"', (WEB / "index.html").read_text())
    for script in WEB.glob("*.js"):
        named += re.findall(r'"(?:web|\.)/([^"]+)"', script.read_text())
    assert {*named, "index.html"} == {path.name for path in WEB.iterdir()}


def test_reads_the_sample_and_draws_its_lines(page: Page, service: Service) -> None:
    page.get_by_role("button", name="Try the sample").click()
    expect(page.get_by_role("heading", name="letter.jpg")).to_be_focused()
    name, image = sent_image(service.posted[0])
    assert (name, image) == ("letter.jpg", (WEB / "letter.jpg").read_bytes())
    read = json.loads(service(service.posted[0] | {"path": f"{STAGE}/ocr"}, None)["body"])
    assert "Dear Margaret" in read["text"]
    lines = page.locator("#pages li")
    assert texts(lines) == read["text"].split("\n")
    expect(page.get_by_role("status").first).to_have_text(f"Read {len(read['lines'])} lines.")
    expect(page.locator("polygon")).to_have_count(len(read["lines"]))
    expect(page.locator("#progress")).to_be_hidden()
    boxes = page.locator("polygon").evaluate_all(
        "all => all.map(each => each.getBBox()).map(box => [box.x, box.y, box.x + box.width, box.y + box.height])"
    )
    for line, box in zip(read["lines"], boxes, strict=True):
        assert box == pytest.approx(line["box"], abs=0.1)
    # The drawing's pixels are the picture's.
    scale, *origin = page.locator("polygon").first.evaluate(
        "(each) => { const {a, e, f} = each.getScreenCTM(); return [a, e, f]; }"
    )
    picture = page.locator("figure img").bounding_box()
    assert picture
    assert origin == pytest.approx([picture["x"], picture["y"]], abs=0.5)
    assert scale * read["width"] == pytest.approx(picture["width"], abs=0.5)
    assert scale * read["height"] == pytest.approx(picture["height"], abs=0.5)


def test_takes_a_file_that_is_chosen_again_and_again(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    page.locator("#file").set_input_files(png())
    expect(page.get_by_role("status").first).to_have_text("Read 3 lines.")
    page.wait_for_function("() => document.getElementById('file').files.length === 0")
    assert [sent_image(event) for event in service.posted] == [("scan.png", png()["buffer"])] * 2


IN_BROWSER = """([name, kind, encoded, times]) => {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    const data = new DataTransfer();
    for (let i = 0; i < times; i++) data.items.add(new File([bytes], name, {type: kind}));
    return data;
}"""


def carried(page: Page, payload: FilePayload, times: int = 1) -> Any:
    encoded = base64.b64encode(payload["buffer"]).decode()
    return page.evaluate_handle(IN_BROWSER, [payload["name"], payload["mimeType"], encoded, times])


def asked(event: Event) -> dict[str, str]:
    return event["queryStringParameters"] or {}


def test_sends_the_options_that_are_chosen(page: Page, service: Service) -> None:
    with_page(service)
    expect(page.get_by_label("Languages")).to_be_hidden()
    page.get_by_text("Options", exact=True).click()
    expect(page.get_by_role("button", name="Read again")).to_be_hidden()
    page.get_by_label("Languages").fill(" de,en ")
    page.get_by_label("Pages", exact=True).fill("2-5,9")
    page.get_by_label("Characters").select_option("A date")
    page.get_by_label("Join the lines of a paragraph").check()
    page.get_by_label("Mark doubtful words").check()
    page.get_by_label("Read PDFs that have text of their own").check()
    page.get_by_label("Turn pages of the PDF upright").check()
    give(page)
    expected = {"lang": "de,en", "pages": "2-5,9", "charset": "date", "lines": "joined", "mark": "true"}
    expected |= {"text": "read", "upright": "true"}
    assert asked(service.posted[0]) == expected
    # The same are asked of the other formats, and of text too, which the page could not join itself.
    for form in ("text", "markdown"):
        service.reply = lambda _, form=form: answer(200, "joined", FORMATS[form].content_type)  # type: ignore[misc]
        page.get_by_label("Format").select_option(form)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert Path(download.value.path()).read_text() == "joined"
        assert asked(service.posted[-1]) == {"format": form, **expected}
    assert len(service.posted) == 3


def test_without_options_none_are_sent(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    assert asked(service.posted[0]) == {}


def test_reads_again_with_other_options(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Characters").select_option("Digits")
    service.reply = lambda _: answer(200, read_page(**{"1234": 0.99}))
    page.get_by_role("button", name="Read again").click()
    expect(page.locator("#pages li")).to_have_count(1)
    first, second = service.posted
    assert (asked(first), asked(second)) == ({}, {"charset": "digits"})
    assert first["body"] == second["body"]


@pytest.mark.parametrize(("label", "value"), [("Pages", "two"), ("Pages", "2,,3"), ("Languages", "german")])
def test_an_option_without_such_a_value_is_not_sent(page: Page, service: Service, label: str, value: str) -> None:
    with_page(service)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_text("Options", exact=True).click()
    page.locator("#file").set_input_files(png())
    # It is shown and focused, where it was folded away.
    expect(page.get_by_label(label, exact=True)).to_be_focused()
    assert service.posted == []
    page.get_by_label(label, exact=True).fill("")
    give(page)
    assert len(service.posted) == 1


def test_a_language_that_is_not_known_is_refused_in_words(page: Page) -> None:
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Languages").fill("tlh"[:2])
    page.locator("#file").set_input_files(png())
    expect(page.get_by_role("alert")).to_contain_text(re.compile("lang must be one or more of .*de, en"))


def test_takes_a_file_that_is_dropped(page: Page, service: Service) -> None:
    with_page(service)
    data = carried(page, png())
    page.dispatch_event("#intake", "dragover", {"dataTransfer": data})
    expect(page.locator("#intake")).to_have_class("over")
    page.dispatch_event("#intake", "drop", {"dataTransfer": data})
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#intake")).not_to_have_class("over")
    assert sent_image(service.posted[0]) == ("scan.png", png()["buffer"])


def test_takes_a_picture_that_is_pasted(page: Page, service: Service) -> None:
    with_page(service)
    page.evaluate(
        "(data) => document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))",
        carried(page, png()),
    )
    expect(page.locator("#result")).to_be_visible()
    assert sent_image(service.posted[0]) == ("scan.png", png()["buffer"])


@pytest.mark.parametrize(("files", "title"), [(2, "more than one file"), (0, "no file")])
def test_takes_exactly_one_file(page: Page, service: Service, files: int, title: str) -> None:
    page.dispatch_event("body", "drop", {"dataTransfer": carried(page, png(), files)})
    expect(page.get_by_role("alert")).to_contain_text(title)
    assert service.posted == []


def test_offers_the_camera_to_a_phone_alone(open_page: Opener) -> None:
    phone, desk = open_page(**PHONE), open_page()
    expect(phone.get_by_text("Take a photo")).to_be_visible()
    assert phone.get_by_label("Take a photo").get_attribute("capture") == "environment"
    expect(desk.get_by_text("Take a photo")).to_be_hidden()


def test_makes_a_large_photo_small_enough(page: Page, service: Service, tmp_path: Path) -> None:
    with_page(service)
    photo = tmp_path / "IMG.1.jpeg"
    noise = np.random.default_rng(0).integers(0, 256, (1600, 2400), np.uint8)
    Image.fromarray(noise).resize((4800, 3200)).save(photo, quality=97)
    assert photo.stat().st_size > 4_500_000
    page.locator("#file").set_input_files(photo)
    expect(page.locator("#result")).to_be_visible(timeout=60_000)
    (event,) = service.posted
    name, image = sent_image(event)
    assert name == "IMG.1.jpg"
    width, height = Image.open(io.BytesIO(image)).size
    assert max(width, height) <= 4096
    assert width / height == pytest.approx(1.5, abs=0.01)
    expect(page.get_by_role("heading", name="IMG.1.jpeg")).to_be_visible()


def test_says_what_is_too_large_to_send(page: Page, service: Service, tmp_path: Path) -> None:
    large = tmp_path / "a.pdf"
    large.write_bytes(b"%PDF-" + bytes(5_000_000))
    page.locator("#file").set_input_files(large)
    expect(page.get_by_role("alert")).to_contain_text("It has 5.0 MB, and 4.4 MB can be sent.")
    assert service.posted == []


def test_sends_names_as_the_api_takes_them(page: Page, service: Service) -> None:
    with_page(service)
    give(page, png() | {"name": "a\u202fb\u200e" + "\U0001d4d0" * 300 + ".png"})
    name, _ = sent_image(service.posted[0])
    assert name.isprintable()
    assert len(name) == 255


def test_hovering_a_line_lights_it_in_both_places(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    lines, polygons, caption = page.locator("#pages li"), page.locator("polygon"), page.locator(".caption")
    for hovered in (lines, polygons):
        for index, text in enumerate(["first line", "second", HOSTILE]):
            hovered.nth(index).hover()
            expect(page.locator("li.lit")).to_have_count(1)
            expect(lines.nth(index)).to_have_class(re.compile(r"\blit\b"))
            expect(polygons.nth(index)).to_have_class(re.compile(r"\blit\b"))
            expect(caption).to_have_text(text)
            expect(caption).to_be_visible()
        page.mouse.move(5, 5)
        expect(page.locator(".lit")).to_have_count(0)
        expect(caption).to_be_hidden()


def test_a_click_on_the_picture_goes_to_the_line(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    page.locator("polygon").nth(1).click()
    expect(page.locator("#pages li").nth(1)).to_be_focused()
    page.mouse.move(5, 5)
    expect(page.locator("polygon.lit")).to_have_attribute("data-line", "1")


def test_confidence_shows_in_colour_stroke_and_words(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    for index, (kind, share) in enumerate([("sure", "99 %"), ("fair", "90 %"), ("doubtful", "50 %")]):
        line, polygon = page.locator("#pages li").nth(index), page.locator("polygon").nth(index)
        expect(line).to_have_class(kind)
        expect(line.locator(".share")).to_contain_text(share)
        expect(polygon).to_have_class(kind)
    strokes = page.locator("polygon").evaluate_all("all => all.map(each => getComputedStyle(each).strokeDasharray)")
    borders = page.locator("#pages li").evaluate_all("all => all.map(each => getComputedStyle(each).borderLeftStyle)")
    assert len(set(strokes)) == len(set(borders)) == 3


def test_works_by_keyboard_alone(page: Page, service: Service) -> None:
    with_page(service)
    page.route("**/web/letter.jpg", lambda route: route.fulfill(body=png()["buffer"], content_type="image/png"))
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    outline = "element => getComputedStyle(element).outlineStyle"
    assert page.locator("label[for=file]").evaluate(outline) == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#result-title")).to_be_focused()
    stops = []
    for _ in range(4):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.line"))
        assert page.evaluate(f"({outline})(document.activeElement)") != "none"
    assert stops == ["format", "copy", "download", "0"]
    lit = []
    for key in ("ArrowDown", "End", "ArrowDown", "ArrowUp", "Home"):
        page.keyboard.press(key)
        lit.append(page.locator("polygon.lit").get_attribute("data-line"))
    assert lit == ["1", "2", "2", "1", "0"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.locator(".lit")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#pages li").nth(1)).to_be_focused()


def test_says_its_structure_to_a_screen_reader(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    expect(page.locator("#result")).to_match_aria_snapshot("""
        - region "scan.png":
          - heading "scan.png" [level=2]
          - paragraph: 3 lines · 90 % confidence · 1.2 s
          - text: Format
          - combobox "Format"
          - button "Copy"
          - button "Download"
          - status
          - list "Colours and strokes":
            - listitem: sure, from 95 %
            - listitem: fair, from 85 %
            - listitem: doubtful, below
          - article:
            - figure:
              - img "The page with 3 lines drawn on it"
            - list:
              - listitem: first line confidence 99 %
              - listitem: second confidence 90 %
              - listitem: <img src=x onerror=alert(1)> confidence 50 %
    """)


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_has_no_accessibility_fault_that_axe_finds(
    open_page: Opener, service: Service, options: dict[str, Any]
) -> None:
    page = open_page(**options)
    faults = []

    def check(state: str) -> None:
        found = Axe().run(page)
        faults.extend((state, each["id"], each["nodes"][0]["html"]) for each in found.response["violations"])

    check("start")
    page.get_by_text("Options", exact=True).click()
    check("options")
    service.reply = lambda _: problem(403, "No key", "Send it.")
    page.locator("#file").set_input_files(png())
    expect(page.locator("#key-dialog")).to_be_visible()
    check("key")
    page.keyboard.press("Escape")
    service.reply = lambda _: problem(422, "Broken", "Send another.")
    page.locator("#file").set_input_files(png())
    expect(page.get_by_role("alert")).to_contain_text("Broken")
    check("problem")
    with_page(service)
    give(page)
    page.locator("#pages li").nth(1).focus()
    check("result")
    assert faults == []


def test_is_dark_where_the_reader_s_system_is(open_page: Opener) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    levels = [sum(map(int, re.findall(r"\d+", open_page(color_scheme=scheme).evaluate(background))))
              for scheme in ("light", "dark")]  # fmt: skip
    assert levels[0] > 600
    assert levels[1] < 100


def test_nothing_moves_where_the_reader_wants_rest(open_page: Opener, service: Service) -> None:
    with_page(service)
    durations = []
    for motion in ("reduce", "no-preference"):
        page = open_page(reduced_motion=motion)
        give(page)
        durations.append(page.locator("polygon").first.evaluate("each => getComputedStyle(each).transitionDuration"))
    assert durations[0] == "0s"
    assert durations[1] != "0s"


@pytest.mark.parametrize("width", [320, 390])
def test_fits_a_phone(open_page: Opener, service: Service, width: int) -> None:
    with_page(service)
    page = open_page(**{**PHONE, "viewport": {"width": width, "height": 700}})
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(overflow) <= 0
    give(page, png() | {"name": "a_very_long_name_of_a_scan_without_any_space_in_it" * 3 + ".png"})
    page.locator("polygon").nth(1).tap()
    expect(page.locator("#pages li").nth(1)).to_be_focused()
    expect(page.locator("polygon.lit")).to_have_attribute("data-line", "1")
    assert page.evaluate(overflow) <= 0
    # The picture stays in sight above the line that is looked at.
    picture, line = page.locator("figure").bounding_box(), page.locator("#pages li").nth(1).bounding_box()
    assert picture
    assert line
    assert 0 <= picture["y"] < picture["y"] + picture["height"] <= line["y"] < 700


def test_copies_every_format_but_pdf(open_page: Opener, service: Service) -> None:
    service.reply = rendered
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    give(page)
    for form, copied in {"text": f"first line\nsecond\n{HOSTILE}\n", "json": json.dumps(PAGE), "hocr": "<hocr/>",
                         "alto": "<alto/>"}.items():  # fmt: skip
        page.get_by_label("Format").select_option(form)
        page.get_by_role("button", name="Copy").click()
        expect(page.locator("#saved")).to_contain_text("copied")
        assert page.evaluate("navigator.clipboard.readText()") == copied
    page.get_by_label("Format").select_option("pdf")
    expect(page.get_by_role("button", name="Copy")).to_be_disabled()


def test_says_that_it_may_not_copy(page: Page, service: Service) -> None:
    with_page(service)
    give(page)
    page.evaluate(
        "() => { navigator.clipboard.write = () => Promise.reject(new DOMException('No', 'NotAllowedError')); }"
    )
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("alert")).to_contain_text("Download it instead.")


RENDERED = {
    "hocr": ("text/vnd.hocr+html; charset=utf-8", "<hocr/>"),
    "alto": ("application/alto+xml", "<alto/>"),
    "pdf": ("application/pdf", "%PDF-1.7"),
    "page": ("application/vnd.prima.page+xml", "<PcGts/>"),
    "markdown": ("text/markdown; charset=utf-8", "# a"),
    "csv": ("text/csv; charset=utf-8", "1,1,a"),
}


def rendered(event: Event) -> Answer:
    form = (event["queryStringParameters"] or {}).get("format")
    if form is None:
        return answer(200, PAGE)
    content_type, body = RENDERED[form]
    return answer(200, body, content_type)


@pytest.mark.parametrize(
    ("form", "suffix", "content"),
    [("text", ".txt", f"first line\nsecond\n{HOSTILE}\n"), ("json", ".json", json.dumps(PAGE)),
     ("hocr", ".hocr", "<hocr/>"), ("alto", ".xml", "<alto/>"), ("pdf", ".pdf", "%PDF-1.7"),
     ("page", ".page.xml", "<PcGts/>"), ("markdown", ".md", "# a"), ("csv", ".csv", "1,1,a")],
)  # fmt: skip
def test_downloads_every_format(page: Page, service: Service, form: str, suffix: str, content: str) -> None:
    service.reply = rendered
    give(page, png() | {"name": "scan.1.png"})
    page.get_by_label("Format").select_option(form)
    for _ in range(2):
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert download.value.suggested_filename == f"scan.1{suffix}"
        assert download.value.path().read_text() == content
    first, *more = service.posted
    if form in RENDERED:
        (again,) = more
        assert again["body"] == first["body"]
        # What the gateway must see to hand out bytes.
        assert again["headers"]["Accept"] == RENDERED[form][0].partition(";")[0]
    else:
        assert more == []


@pytest.mark.parametrize(
    ("form", "sign"),
    [
        ("text", b"12 March"),
        ("json", b'"lines":'),
        ("hocr", b"ocrx_word"),
        ("alto", b"<String"),
        ("pdf", b"%PDF-"),
        ("page", b"<TextLine"),
        ("markdown", b"12 March"),
        ("csv", "\ufeff".encode()),
    ],
)
def test_downloads_what_the_handler_makes_of_the_sample(page: Page, form: str, sign: bytes) -> None:
    page.get_by_role("button", name="Try the sample").click()
    expect(page.locator("#result")).to_be_visible()
    page.get_by_label("Format").select_option(form)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    content = download.value.path().read_bytes()
    assert sign in content
    if form == "pdf":
        content = pypdfium2.PdfDocument(content)[0].get_textpage().get_text_range().encode()
    # A letter has no table.
    for word in (b"Dear", b"Margaret") if form != "csv" else ():
        assert word in content
    assert download.value.suggested_filename == f"letter{FORMATS[form].suffix}"


def test_says_what_is_wrong_with_a_file_in_the_api_s_words(page: Page, service: Service) -> None:
    page.locator("#file").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"no image"})
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The image format is not supported")
    event = service.posted[0] | {"path": f"{STAGE}/ocr"}
    expect(alert).to_contain_text(json.loads(service(event, None)["body"])["detail"])
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#result")).to_be_hidden()
    with_page(service)
    give(page)
    expect(alert).to_be_empty()


@pytest.mark.parametrize(
    ("reply", "said"),
    [(problem(422, HOSTILE, HOSTILE), f"{HOSTILE}{HOSTILE}Request id-of-request"),
     (answer(502, "<html>Bad gateway", "text/html"), "It answered with status 502. Try again in a moment."),
     (answer(429, {"message": "Too Many Requests"}), "The request was refusedToo Many Requests")],
)  # fmt: skip
def test_says_what_went_wrong(page: Page, service: Service, reply: Answer, said: str) -> None:
    service.reply = lambda _: reply
    page.locator("#file").set_input_files(png())
    expect(page.get_by_role("alert")).to_contain_text(said)


def test_says_that_the_service_cannot_be_reached(page: Page) -> None:
    page.route("**/ocr", lambda route: route.abort())
    page.locator("#file").set_input_files(png())
    expect(page.get_by_role("alert")).to_contain_text("Check the connection, then try again.")


def test_asks_for_the_key_once_and_keeps_it_for_the_tab(page: Page, service: Service) -> None:
    def keyed(event: Event) -> Answer:
        if event["headers"].get("x-api-key") == "good-key":
            return answer(200, PAGE)
        return problem(403, "The API key is missing or wrong", "Send the key in the header x-api-key.")

    service.reply = keyed
    dialog, key = page.get_by_role("dialog", name="This service asks for a key"), page.get_by_label("API key")
    page.locator("#file").set_input_files(png())
    expect(dialog).to_be_visible()
    expect(key).to_be_focused()
    refused = dialog.get_by_text("This key was refused.")
    expect(refused).to_be_hidden()
    key.fill("bad-key")
    page.keyboard.press("Enter")
    expect(refused).to_be_visible()
    key.fill("good-key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#result")).to_be_visible()
    page.reload()
    give(page)
    expect(dialog).to_be_hidden()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.close()


def test_goes_without_a_key_where_none_is_given(page: Page, service: Service) -> None:
    service.reply = lambda _: problem(403, "No key", "Send it.")
    page.locator("#file").set_input_files(png())
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("Cancelled")
    assert len(service.posted) == 1


def test_shows_pages_one_below_the_other(page: Page, service: Service) -> None:
    pages = [read_page(1, **{"one": 0.99}), read_page(2, **{"two": 0.99, "three": 0.99})]
    service.reply = lambda _: answer(
        200, {"image": "a.pdf", "text": "one\ntwo\nthree", "confidence": 0.99, "pages": pages}
    )
    give(page, {"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"})
    expect(page.get_by_role("heading", level=3)).to_have_text(["Page 1", "Page 2"])
    expect(page.locator("#summary")).to_contain_text("2 pages · 3 lines · 99 % confidence · 2.5 s")
    first, second = page.locator("article").all()
    assert texts(first.locator("li")) == ["one"]
    assert texts(second.locator("li")) == ["two", "three"]
    # The browser shows no PDF in a page, so the text is set where it stands.
    assert second.locator("svg text").all_text_contents() == ["two", "three"]
    expect(page.get_by_text("This browser cannot show the page")).to_have_count(2)
    second.locator("li").nth(1).hover()
    expect(second.locator("polygon.lit")).to_have_attribute("data-line", "1")
    expect(first.locator(".lit")).to_have_count(0)


def test_says_that_nothing_was_found(page: Page, service: Service) -> None:
    service.reply = lambda _: answer(200, read_page())
    give(page)
    expect(page.get_by_text("No text was found here.")).to_be_visible()
    expect(page.locator("#legend")).to_be_hidden()


def test_says_that_what_was_read_is_probably_wrong(page: Page, service: Service) -> None:
    pages = [read_page(1, **{"one": 0.99}), {**read_page(2, **{"two": 0.9}), "content": "unreadable"}]
    service.reply = lambda _: answer(200, {"image": "a.tif", "text": "", "confidence": 0.9, "pages": pages})
    give(page)
    note = "This is probably no text in Latin script"
    first, second = page.locator("article").all()
    expect(second).to_contain_text(note)
    expect(first).not_to_contain_text(note)
    expect(page.get_by_role("status").first).to_contain_text(note)
    assert Axe().run(page).violations_count == 0


def test_tells_how_long_it_takes_and_can_be_stopped(page: Page, service: Service) -> None:
    goes_on = threading.Event()

    def slow(_: Event) -> Answer:
        goes_on.wait(120)
        return answer(200, PAGE)

    service.reply = slow
    page.locator("#file").set_input_files(png())
    # What is looked at now and then may have gone from 0 to 2 since.
    expect(page.locator("#progress")).to_contain_text(re.compile("Reading… [1-9][0-9]* s"))
    expect(page.get_by_role("progressbar", name="Reading")).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("Reading…")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#file")).to_be_focused()
    goes_on.set()
    time.sleep(0.3)
    expect(page.locator("#result")).to_be_hidden()
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_new_file_takes_the_place_of_the_one_being_read(page: Page, service: Service) -> None:
    goes_on = threading.Event()

    def first_slow(event: Event) -> Answer:
        if sent_image(event)[0] == "slow.png":
            goes_on.wait(120)
        return answer(200, PAGE)

    service.reply = first_slow
    page.locator("#file").set_input_files(png() | {"name": "slow.png"})
    expect(page.locator("#progress")).to_contain_text("Reading")
    page.locator("#file").set_input_files(png() | {"name": "next.png"})
    goes_on.set()
    expect(page.get_by_role("heading", name="next.png")).to_be_visible()
    expect(page.locator("#progress")).to_be_hidden()
