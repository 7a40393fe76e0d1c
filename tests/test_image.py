"""What the container image holds reads as the whole packages do, and is no larger than it may be."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FUNCTION = ROOT / "function"
MAX_BYTES = 250_000_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the image is of Linux")

# Runs smoke.py, and says which functions of OpenCV the modules loaded meanwhile name but were not called.
SMOKE = """
import inspect, re, runpy, sys
from pathlib import Path
import cv2

called = set()

def recorded(name, function):
    def call(*arguments, **options):
        called.add(name)
        return function(*arguments, **options)
    return call

functions = {name: value for name, value in vars(cv2).items() if inspect.isroutine(value) and name[0] != "_"}
for name, function in functions.items():
    setattr(cv2, name, recorded(name, function))
runpy.run_path(sys.argv[1], run_name="__main__")
loaded = [m.__file__ for name, m in sys.modules.items() if name.startswith("paragraph_ocr")]
sources = [Path(file).read_text(encoding="utf-8") for file in loaded]
named = {name for source in sources for name in re.findall(r"cv2\\.(\\w+)", source)} & set(functions)
print("named:", *sorted(named))
print("not called:", *sorted(named - called))
print("cv2 of", cv2.__file__)
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the image as slim.py leaves them."""
    folder = tmp_path_factory.mktemp("packages")
    names = re.findall(r"^([\w-]+)==(?!.*win32)", (FUNCTION / "requirements.txt").read_text(), re.MULTILINE)
    assert len(names) >= 12
    for name in names:
        for file in distribution(name).files or ():
            if file.parts[0] != ".." and "__pycache__" not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), folder / file)
    # The image's Python is a later one, for which numpy has no distutils: the build must not ask for it.
    shutil.rmtree(folder / "numpy" / "distutils", ignore_errors=True)
    subprocess.run([sys.executable, FUNCTION / "image" / "slim.py", folder], check=True)
    return folder


def test_every_format_is_read_without_what_is_left_out(packages: Path) -> None:
    command = [sys.executable, "-P", "-X", "faulthandler", "-c", SMOKE, str(FUNCTION / "image" / "smoke.py")]
    environment = {"PYTHONPATH": f"{packages}:{FUNCTION}", "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    *_, named, not_called, origin = run.stdout.splitlines()
    assert named.split()[1:], "nothing of OpenCV is used any more: leave it out"
    assert not_called.split() == ["not", "called:"], "let smoke.py call it: it may need what slim.py left out"
    assert origin.startswith(f"cv2 of {packages}")


def test_it_stays_small(packages: Path) -> None:
    files = [*packages.rglob("*"), *FUNCTION.rglob("*")]
    # Bytecode is about as large as its source.
    size = sum(path.stat().st_size * (1 + (path.suffix == ".py")) for path in files if "__pycache__" not in path.parts)
    assert size < MAX_BYTES
