"""As many threads as the process may use: its affinity mask, and the quotas of its control groups."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paragraph_ocr import processors
from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.processors import count_processors

FUNCTION = Path(processors.__file__).parents[1]
MOUNT_2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
# As Docker mounts a container's own group where the namespace is the host's.
MOUNT_2_OWN = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup ro\n"
MOUNT_1 = "31 23 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" \
          "32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"  # fmt: skip
MOUNT_1_OWN = "32 23 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
GROUPS_1 = "4:cpu,cpuacct:{}\n3:cpuset:/other\n0::/\n"


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_allowed", lambda: 8)


def pretend(root: Path, groups: str, mounts: str, quotas: dict[str, str]) -> Path:
    """A file system in which a process is in control groups with quotas."""
    for name, content in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **quotas}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("groups", "mounts", "quotas", "expected"),
    [
        ("0::/\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ("0::/\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
        ("0::/\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "5000 100000\n"}, 1),
        ("0::/\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
        ("0::/a/b\n", MOUNT_2, {"sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 1"}, 3),
        ("0::/docker/abc\n", MOUNT_2_OWN, {"sys/fs/cgroup/cpu.max": "100000 50000\n"}, 2),
        ("0::/../abc\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        (GROUPS_1.format("/"), MOUNT_1, {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                                         "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"}, 8),
        (GROUPS_1.format("/a"), MOUNT_1, {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "300000\n",
                                          "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}, 3),
        (GROUPS_1.format("/docker/abc"), MOUNT_1_OWN, {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
                                                       "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 1),
        ("0::/\n", MOUNT_2, {"sys/fs/cgroup/cpu.max": "many\n"}, 8),
        ("0::/\n", "unlike anything\n", {}, 8),
        ("unlike anything\n", MOUNT_2, {}, 8),
    ],
)  # fmt: skip
def test_quotas_of_control_groups_count(
    tmp_path: Path, groups: str, mounts: str, quotas: dict[str, str], expected: int
) -> None:
    assert count_processors(pretend(tmp_path, groups, mounts, quotas)) == expected


@pytest.mark.usefixtures("eight")
def test_without_control_groups_all_that_are_allowed_count(tmp_path: Path) -> None:
    assert count_processors(tmp_path) == 8


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system pins no processes")
def test_a_pinned_process_counts_the_processors_it_is_pinned_to() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from paragraph_ocr.processors import count_processors; print(count_processors())"
    )
    environment = {**os.environ, "PYTHONPATH": str(FUNCTION)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system pins no processes")
@pytest.mark.parametrize("more", [[], ["--out", "read"]])
def test_the_command_line_reads_with_as_many_threads(tmp_path: Path, more: list[str]) -> None:
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from paragraph_ocr.cli import main as command_line\n"
        "from paragraph_ocr.pipeline.reader import PageReader\n"
        "PageReader.load = lambda **options: sys.exit(str(options))\n"
        "command_line.main(sys.argv[1:])"
    )
    (tmp_path / "a.png").write_bytes(b"any")
    environment = {**os.environ, "PYTHONPATH": str(FUNCTION)}
    command = [sys.executable, "-c", code, "a.png", *more]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "{'threads': 1, " in run.stderr


def test_threads_that_wait_leave_their_processors_to_others() -> None:
    options = Model(FOLDER / "detector.onnx", threads=2)._session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system pins no processes")
@pytest.mark.parametrize(("memory", "expected"), [(None, "{'threads': 1"), ("7076", "{'threads': 4")])
def test_the_local_function_reads_with_as_many_threads_unless_it_is_given_memory(
    memory: str | None, expected: str
) -> None:
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from local.serve import load_handler\n"
        "from paragraph_ocr.pipeline.reader import PageReader\n"
        "PageReader.load = lambda **options: sys.exit(str(options))\n"
        "load_handler()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FUNCTION), str(FUNCTION.parent)])}
    environment.pop("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", None)
    if memory is not None:
        environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = memory
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stderr.startswith(expected)
