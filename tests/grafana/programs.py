"""Programs that check files for us. Without one a test is skipped, or fails if ZWARD_REQUIRE_E2E=1."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def found(program: str) -> str:
    """Where it is: beside this Python, or in the path."""
    path = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if path is None:
        reason = f"{program} is not installed; the cure: sudo make test"
        if os.environ.get("ZWARD_REQUIRE_E2E") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def said(program: str, *arguments: str | Path, at: Path) -> str:
    """What it prints, run in the directory `at`; the test fails with it if the program is not content."""
    ran = subprocess.run([found(program), *arguments], cwd=at, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
