"""Every option of reading is there in the API, on the command line, on the web page and in their documents."""

from __future__ import annotations

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from paragraph_ocr.cli import main as command_line
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.pipeline.charset import CHARSETS
from service.intake import OCR_PARAMETERS

ROOT = Path(__file__).parents[1]
WEB = ROOT / "function" / "paragraph_ocr" / "web"
DESCRIPTION = json.loads((ROOT / "function" / "service" / "openapi.json").read_text(encoding="utf-8"))
PARAMETERS = {each["name"]: each for each in DESCRIPTION["paths"]["/ocr"]["post"]["parameters"]}
# Whatever the command line calls by another name.
COMMAND_LINE = {"lines": "--join"}


def option_of(parameter: str) -> str:
    return COMMAND_LINE.get(parameter, f"--{parameter}")


class Form(HTMLParser):
    """The attributes and labels of the controls of the page's options, by their names; values of those to choose."""

    def __init__(self) -> None:
        super().__init__()
        self.controls: dict[str, dict[str, str | None]] = {}
        self.values: dict[str, list[str]] = {}
        self.labelled: set[str | None] = set()
        self._inside, self._label, self._select = False, False, ""
        self.feed((WEB / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self._inside |= tag == "form" and found.get("id") == "options"
        if not self._inside:
            return
        if tag == "label":
            self.labelled.add(found.get("for"))
            self._label = True
        if tag in ("input", "select") and (name := found.get("name")):
            self.controls[name] = found
            if self._label:
                self.labelled.add(found.get("id", name))
            self._select = name if tag == "select" else ""
            if found.get("type") == "checkbox":
                self.values[name] = [found["value"] or ""]
        if tag == "option":
            self.values.setdefault(self._select, []).append(found["value"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "form"
        self._label &= tag != "label"


FORM = Form()


def test_the_description_has_the_parameters_of_the_handler() -> None:
    assert tuple(PARAMETERS) == OCR_PARAMETERS


def test_the_page_has_a_labelled_control_for_each() -> None:
    assert set(FORM.controls) == set(PARAMETERS) - {"format"}
    for name, control in FORM.controls.items():
        assert control.get("id", name) in FORM.labelled, name


def test_the_page_offers_the_values_that_there_are() -> None:
    for name, values in FORM.values.items():
        known = PARAMETERS[name]["schema"]["enum"]
        assert set(values) - {""} <= set(known), name
    assert FORM.values["charset"] == ["", *CHARSETS]
    assert FORM.controls["pages"]["pattern"] == PARAMETERS["pages"]["schema"]["pattern"].strip("^$")
    assert FORM.controls["lang"]["maxlength"] == str(PARAMETERS["lang"]["schema"]["maxLength"])


def test_the_page_offers_every_format() -> None:
    script = (WEB / "page.js").read_text(encoding="utf-8")
    (formats,) = re.findall(r"const FORMATS = \{\n(.*?)\n\};", script, re.DOTALL)
    offered = dict(re.findall(r'^  (\w+): \{.*suffix: "([^"]+)"', formats, re.MULTILINE))
    assert offered == {name: form.suffix for name, form in FORMATS.items()}


@pytest.mark.parametrize("path", ["benchmarks/hostile.py", "benchmarks/memory.py", "function/image/smoke.py"])
def test_what_tries_every_format_knows_them(path: str) -> None:
    (known,) = re.findall(r"^FORMS = (\(.*\))$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(ast.literal_eval(known)) == sorted(FORMATS)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        command_line.main(arguments)
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_the_command_line_has_each(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run("--help", capsys=capsys)
    for parameter in PARAMETERS:
        assert re.search(rf"^  {option_of(parameter)}\b", shown, re.MULTILINE), parameter


def test_an_unknown_option_of_the_command_line_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = run("a.png", "--language", "de", capsys=capsys)
    assert "unrecognized arguments: --language" in shown
    for parameter in PARAMETERS:
        assert f"[{option_of(parameter)}" in shown, parameter


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [
        ("--format", "docx", FORMATS),
        ("--charset", "emoji", CHARSETS),
        ("--lang", "tlh", ("de", "en", "xx")),
        ("--pages", "two", ("pages",)),
    ],
)
def test_a_wrong_value_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str], option: str, value: str, known: Any
) -> None:
    shown = run("a.png", option, value, capsys=capsys)
    for each in known:
        assert each in shown


def test_the_documents_describe_each() -> None:
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^### Options\n(.*?)^## ", api, re.MULTILINE | re.DOTALL)
    described = re.findall(r"^\| `(\w+)=", section, re.MULTILINE)
    assert described == [name for name in PARAMETERS if name != "format"]
    for form in FORMATS:
        assert f"`{form}`" in api.replace("`?format=json`", "`json`")
    for name in CHARSETS:
        assert name in section
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for parameter in PARAMETERS:
        assert re.search(rf"\[{option_of(parameter)}[\] ]", page), parameter
