"""The imports between the project's modules: no cycles, no import against the layering, no changes to `sys.path`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The folders that modules are imported from, and the packages and modules in each.
FUNCTION = ("app", "archive", "image", "paragraph_ocr", "service", "worker")
TOP = ("training", "export", "adaptation", "local", "samples", "benchmarks")

# The packages that each one may import beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "paragraph_ocr": set(),
    "service": {"paragraph_ocr"},
    "app": {"paragraph_ocr", "service"},
    "archive": {"paragraph_ocr", "service"},
    "worker": {"paragraph_ocr", "service"},
    # Scripts that build and try the container image.
    "image": {"app", "archive", "worker"},
    "training": {"paragraph_ocr"},
    "export": {"paragraph_ocr", "training"},
    "adaptation": {"paragraph_ocr", "training", "export"},
    "local": {"app", "archive", "worker", "paragraph_ocr", "service"},
    "samples": {"app", "paragraph_ocr", "local"},
    "benchmarks": set(FUNCTION) | set(TOP),
}

# The layers inside a package, lowest first: a module imports from its own layer and those below. The longest prefix of
# a module's name that stands here is its layer; a module that none of them names is tied to no layer.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("paragraph_ocr", "paragraph_ocr.document", "paragraph_ocr.errors", "paragraph_ocr.processors"),
    ("paragraph_ocr.correction",),
    ("paragraph_ocr.io", "paragraph_ocr.models", "paragraph_ocr.model_set"),
    ("paragraph_ocr.pipeline",),
    ("paragraph_ocr.pipeline.reader",),
    ("paragraph_ocr.formats",),
    ("paragraph_ocr.api", "paragraph_ocr.cli", "paragraph_ocr.client"),
    ("paragraph_ocr.__main__",),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}

EAGER, LAZY, TYPING = "when loaded", "in a function", "for type checking"


@dataclass(frozen=True)
class Import:
    """One module of the project that another one imports, and how: when loaded, in a function, for type checking."""

    importer: str
    imported: str
    kind: str
    place: str


def module_name(path: Path, root: Path) -> str:
    """The dotted name of a file below the folder that modules are imported from."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_modules(project: Path) -> dict[str, Path]:
    """The files of the project's modules by their dotted names."""
    modules = {}
    for folder, names in ((project / "function", FUNCTION), (project, TOP)):
        for name in names:
            package = folder / name
            files = package.rglob("*.py") if package.is_dir() else [package.with_suffix(".py")]
            modules |= {module_name(file, folder): file for file in files if file.exists()}
    return modules


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imports(node: ast.AST, kind: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Every import statement below a node, with its kind."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, kind
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(child, LAZY)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.body:
                yield from _imports(ast.Module([statement], []), TYPING)
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), kind)
        else:
            yield from _imports(child, kind)


def read_imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """The imports of other modules of the project that stand in one module."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for statement, kind in _imports(ast.parse(path.read_text(encoding="utf-8")), EAGER):
        if isinstance(statement, ast.Import):
            wanted = [alias.name for alias in statement.names]
        else:
            base = package[: len(package) - statement.level + 1] if statement.level else []
            start = ".".join([*base, *([statement.module] if statement.module else [])])
            # `from package import name` imports a module where there is one of that name, else what the package holds.
            wanted = [inside if (inside := f"{start}.{alias.name}") in modules else start for alias in statement.names]
        for imported in wanted:
            if imported in modules and imported != name:
                yield Import(name, imported, kind, f"{path.name}:{statement.lineno}")


def layer(name: str) -> int | None:
    """The number of a module's layer, or None where it is tied to none."""
    if name in LAYER_OF:
        return LAYER_OF[name]
    parts = name.split(".")
    # What stands for a package's modules has two names or more: one name alone is a package's `__init__`.
    prefixes = (".".join(parts[:length]) for length in range(len(parts) - 1, 1, -1))
    return next((LAYER_OF[prefix] for prefix in prefixes if prefix in LAYER_OF), None)


def against_the_order(found: Import) -> bool:
    """Whether an import goes to a package that is not allowed, or to a higher layer."""
    importer, imported = found.importer.split(".")[0], found.imported.split(".")[0]
    if importer != imported:
        return imported not in MAY_IMPORT[importer]
    own, other = layer(found.importer), layer(found.imported)
    return own is not None and other is not None and other > own


def find_cycle(imports: list[Import]) -> list[str]:
    """The modules of one cycle of imports, those for type checking left out; empty where there is none."""
    graph: dict[str, set[str]] = defaultdict(set)
    for each in imports:
        if each.kind != TYPING:
            graph[each.importer].add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


CHANGING = {"insert", "append", "extend", "remove", "pop", "clear"}


def path_changes(path: Path) -> list[int]:
    """The lines of a file that assign to `sys.path`, call one of its methods that change it, or add a site folder."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            targets = [node.func.value if node.func.attr in CHANGING else node.func]
        for target in targets:
            inner = target.value if isinstance(target, ast.Subscript) else target
            if ast.unparse(inner) in {"sys.path", "site.addsitedir"}:
                found.append(node.lineno)
    return found


MODULES = find_modules(ROOT)
IMPORTS = [each for name, path in MODULES.items() for each in read_imports(name, path, MODULES)]


def shown(imports: list[Import]) -> str:
    return "\n".join(f"{each.importer} imports {each.imported} {each.kind} ({each.place})" for each in imports)


def test_all_packages_are_seen() -> None:
    assert {name.split(".")[0] for name in MODULES} == set(FUNCTION) | set(TOP)
    assert {each.kind for each in IMPORTS} == {EAGER, LAZY, TYPING}
    unplaced = [name for name in MODULES if name.startswith("paragraph_ocr.") and layer(name) is None]
    assert not unplaced, f"modules without a layer: {unplaced}"


def test_no_cycles() -> None:
    cycle = find_cycle(IMPORTS)
    assert not cycle, " imports ".join(reversed(cycle))


def test_imports_follow_the_layers() -> None:
    # The package itself names what it loads on first use.
    wrong = [
        each for each in IMPORTS if against_the_order(each) and (each.importer, each.kind) != ("paragraph_ocr", TYPING)
    ]
    assert not wrong, shown(wrong)


def test_the_documentation_lists_the_layers() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = text.partition("<!-- layers -->\n")[2].partition("<!-- end -->")[0].splitlines()
    listed = [
        {f"paragraph_ocr.{name.removesuffix('.py').replace('/', '.')}" for name in re.findall(r"`([^`]+)`", row)}
        for row in rows
    ]
    assert listed == [set(names) - {"paragraph_ocr"} for names in LAYERS]


def test_the_documentation_says_what_packages_import() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = {"the library": {"paragraph_ocr"}, "the service": {"service", "app", "archive", "worker"}}
    rows = dict(re.findall(r"^\| (`[^|]+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE))
    for package in ("training", "export", "adaptation", "local", "samples"):
        words = rows[f"`{package}`"].replace("function/app.py", "app").replace("`", "").split(", ")
        documented = set().union(*(names.get(word, {word}) for word in words)) - {"PyTorch"}
        assert documented == MAY_IMPORT[package], package
    assert MAY_IMPORT["service"] == names[rows["`function/service`"]]


def test_the_documentation_names_every_module_of_the_library() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folder = ROOT / "function" / "paragraph_ocr"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if path.name[:2] != "__"}
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    assert {each for each in files if not each.startswith("formats/")} <= named
    places = (folder, ROOT / "function", ROOT / "function" / "service", ROOT)
    assert [each for each in named if not any((place / each).exists() for place in places)] == []


def test_no_module_changes_the_import_path() -> None:
    files = [*MODULES.values(), *(ROOT / "tests").glob("*.py")]
    wrong = {str(path.relative_to(ROOT)): lines for path in files if (lines := path_changes(path))}
    assert not wrong


@pytest.mark.parametrize(
    ("importer", "statement", "imported"),
    [
        ("training/fit.py", "import export.conversion", "export.conversion"),
        ("training/fit.py", "def f():\n    from benchmarks import report", "benchmarks.report"),
        ("function/paragraph_ocr/io/tiff.py", "from ..pipeline import windows", "paragraph_ocr.pipeline.windows"),
        ("function/paragraph_ocr/models.py", "import paragraph_ocr.cli.main", "paragraph_ocr.cli.main"),
        ("function/paragraph_ocr/document.py", "from service.fetch import x", "service.fetch"),
        ("function/service/routes.py", "from local import serve", "local.serve"),
    ],
)
def test_an_import_against_the_order_is_found(tmp_path: Path, importer: str, statement: str, imported: str) -> None:
    path = tmp_path / importer
    path.parent.mkdir(parents=True)
    path.write_text(statement, encoding="utf-8")
    root = tmp_path / "function" if importer.startswith("function") else tmp_path
    found = list(read_imports(module_name(path, root), path, MODULES))
    assert [each.imported for each in found if against_the_order(each)] == [imported]


def test_a_cycle_through_a_function_is_found_and_one_for_type_checking_is_not(tmp_path: Path) -> None:
    modules = {name: tmp_path / f"{name}.py" for name in ("first", "second")}
    modules["first"].write_text("import second\n", encoding="utf-8")

    def cycle(text: str) -> list[str]:
        modules["second"].write_text(text, encoding="utf-8")
        return find_cycle([each for name, path in modules.items() for each in read_imports(name, path, modules)])

    assert set(cycle("def f():\n    import first\n")) == {"first", "second"}
    assert cycle("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import first\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nsys.path.insert(0, 'x')",
        "import sys\nsys.path += ['x']",
        "import sys\nsys.path[:0] = ['x']",
        "import sys\nsys.path = ['x']",
        "import sys\nsys.path.extend(['x'])",
        "import site\nsite.addsitedir('x')",
    ],
)
def test_a_change_of_the_import_path_is_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    assert path_changes(path) == [2]
    path.write_text("import os, sys\nos.pathsep.join(sys.path)", encoding="utf-8")
    assert path_changes(path) == []
