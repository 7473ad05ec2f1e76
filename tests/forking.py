"""A function in a process of its own, for what a process cannot undo: becoming somebody else."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

PYTHON = which("python3", path="/usr/bin:/bin:/usr/local/bin")
"""A Python that everybody may start, for stand-ins that are nobody in particular: the tests' own may lie in /root."""


def require_root() -> None:
    """Skip the test where it cannot become somebody else; fail if root was promised."""
    if os.geteuid() == 0:
        return
    if os.environ.get("ZWARD_REQUIRE_KERNEL") == "1":
        pytest.fail("ZWARD_REQUIRE_KERNEL=1, and this is not root")
    pytest.skip("becoming another user needs root")


def in_child(function: Callable[[], object]) -> str:
    """What it returns, as text, or the exception that it raises, by name; from a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            said = str(function())
        except BaseException as fault:
            said = f"{type(fault).__name__}: {fault}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as told:
        said = told.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, said
    return said


def status_of(pid: int | str) -> dict[str, str]:
    """/proc/PID/status, by its own words."""
    text = Path(f"/proc/{pid}/status").read_text()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
