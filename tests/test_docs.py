"""The documentation names what exists: files, commands, options, parameters and limits."""

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from paragraph_ocr.io.limits import DEFAULT_LIMITS
from service.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "training" / "README.md"])
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 180


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", text_of(linked), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}, target


def commands(page: Path) -> list[list[str]]:
    """The arguments after ``-m`` of each Python command on a page; lines that end with a backslash go on."""
    joined = text_of(page).replace("\\\n", " ")
    found = re.findall(r"\bpython -m ([^`\n]+)", joined)
    return [shlex.split(each.partition("#")[0].replace("...", "")) for each in found]


def source_of(module: str) -> str:
    """The code of a module that is run, and of those of the project that it imports."""
    spec = find_spec(module)
    assert spec is not None, module
    spec = find_spec(f"{module}.__main__") if spec.submodule_search_locations else spec
    assert spec is not None, module
    assert spec.origin is not None, module
    source = Path(spec.origin).read_text(encoding="utf-8")
    imported = re.findall(
        r"^from ((?:training|export|benchmarks|local|paragraph_ocr)[\w.]*) import", source, re.MULTILINE
    )
    for each in imported:
        found = find_spec(each)
        if found and found.origin:
            source += Path(found.origin).read_text(encoding="utf-8")
    return source


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_exist_with_their_options(page: Path) -> None:
    for module, *arguments in commands(page):
        if module in ("pytest", "pip"):
            continue
        source = source_of(module)
        assert "__main__" in source, module
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert f'"{option}"' in source, f"{module} {option}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w/.]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        for line in re.findall(r"^(?:\w+=\S+ )?make ([a-z][^#\n`]*)", text_of(page), re.MULTILINE):
            assert {word for word in line.split() if "=" not in word} <= targets, line


def test_the_table_of_limits_has_the_defaults() -> None:
    rows = {
        name: cells
        for name, *cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in text_of(ROOT / "docs" / "api.md").splitlines()
            if line.startswith("| ")
        )
    }
    parameters = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), yaml.BaseLoader)["Parameters"]
    request, job = Settings().request_limits, Settings().job_limits
    for row, field in (
        ("bytes of a file", "max_bytes"),
        ("pixels of a page", "max_pixels"),
        ("pages of a file", "max_pages"),
        ("lines of a page", "max_lines"),
    ):
        shown, parameter, in_background, other_parameter, on_command_line = rows[row]
        assert shown == f"{getattr(request, field):,}"
        assert in_background == f"{getattr(job, field):,}"
        assert on_command_line == f"{getattr(DEFAULT_LIMITS, field):,}"
        assert {parameter.strip("`"), other_parameter.strip("`")} - {""} <= parameters.keys()
    assert rows["seconds"][0].startswith(f"{Settings().max_seconds:.0f},")
    assert rows["seconds"][-1].startswith(f"{DEFAULT_LIMITS.max_seconds:,.0f} ")


def test_the_parameters_that_are_named_exist() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    for name in ("README.md", "docs/operation.md", "docs/archive.md", "docs/api.md"):
        for word in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-zA-Z]+)+)`", text_of(ROOT / name)):
            if word in ("ParagraphOCR", "ReadingTime"):
                continue
            assert re.search(rf"^  {word}:", template, re.MULTILINE), word


def test_the_typescript_names_what_the_description_has() -> None:
    (code,) = re.findall(r"```ts\n(.*?)```", text_of(ROOT / "README.md"), re.DOTALL)
    assert len(code.splitlines()) <= 25
    description = json.loads((ROOT / "function" / "service" / "openapi.json").read_text(encoding="utf-8"))
    schemas = description["components"]["schemas"]
    calls = re.findall(r'api\.([A-Z]+)\("([^"]+)"', code)
    assert {path for _, path in calls} == {"/ocr", "/jobs", "/jobs/{id}"}
    for method, path in calls:
        assert method.lower() in description["paths"][path]
    parameters = {each["name"] for each in description["paths"]["/ocr"]["post"]["parameters"]}
    queries = re.findall(r"query: \{ (\w+):", code)
    assert queries
    assert set(queries) <= parameters
    bodies = re.findall(r"body(?: =|:) \{ (.*?) \}", code)
    fields = [re.findall(r"(\w+):", body) for body in bodies]
    assert [set(each) <= set(schemas["JobRequest"]["properties"]) for each in fields] == [True, True]
    for schema, pattern in (
        ("Page", r'\["Page"\]\)\.(\w+)'),
        ("NewJob", r"const \{ (\w+), \w+ \} = \(await"),
        ("NewJob", r"const \{ \w+, (\w+) \} = \(await"),
        ("Job", r"\bjob\.(\w+)"),
        ("Counts", r"\bjob\.(?:done|total)\.(\w+)"),
        ("Problem", r"error\?\.(\w+)"),
    ):
        named = re.findall(pattern, code)
        assert named, pattern
        assert set(named) <= set(schemas[schema]["properties"]), schema
    upload = schemas["NewJob"]["properties"]["upload"]["properties"]
    assert set(re.findall(r"\bupload!\.(\w+)", code)) == set(upload)


def test_the_changelog_begins_with_this_version() -> None:
    import paragraph_ocr

    assert re.findall(r"^## (\S+)", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)[0] == paragraph_ocr.__version__
