"""The sample's command reads a picture and draws what was found beside where one stands, through no link."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]


def run(folder: Path, image: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samples.run", image]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_reads_and_draws_the_sample(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "letter.overlay.jpg").symlink_to("victim")
    done = run(tmp_path, ROOT / "samples" / "letter.jpg")
    assert done.returncode == 0, done.stderr
    assert "Dear Margaret" in done.stdout
    assert "drawn in letter.overlay.jpg" in done.stdout
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "letter.overlay.jpg").is_symlink()
    with Image.open(tmp_path / "letter.overlay.jpg") as drawn, Image.open(ROOT / "samples" / "letter.jpg") as sample:
        assert drawn.size == sample.size


def test_says_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J.png").mkdir()
    for name in ("\x1b[2J.png", "missing.png"):
        done = run(tmp_path, name)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().isprintable()
