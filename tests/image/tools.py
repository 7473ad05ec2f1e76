"""What the tests of the VM image's parts share."""

import os
import shutil

import pytest

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAxnYO0Z3bCDdxwPm8oPvpM0sJ8q6n1hHq9c0Jc9m0aB admin@example.org"


def need(*programs: str) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if lacking := [program for program in programs if not shutil.which(program, path=path)]:
        reason = f"not installed: {', '.join(lacking)} (.ci/packages image)"
        if os.environ.get("ZWARD_REQUIRE_E2E") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
