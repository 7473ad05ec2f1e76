"""The firewall's kernel tests on the kernels that zward meets: Debian 12's own, 6.1, and that of the VM, 6.12.

Each runs in a guest of its own, under qemu without KVM. A test there may say that its kernel is older than what it
tries; any other skip is a failure, as anywhere in CI.
"""

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from image.machine import Kernel, Machine
from image.machine import missing as missing_machine
from namespaces import why_not

pytestmark = [pytest.mark.guests, pytest.mark.timeout(9000)]

ROOT = Path(__file__).resolve().parents[2]
GUEST = Path(__file__).parent / "guest"
KEPT = ROOT / "build/guests"
MEBIBYTE = 1 << 20

PROJECT = ("appliance", "tests", "rules", "image", "grafana/builder", "pyproject.toml")

ALL = ("tests/kernel", "tests/firewall")
DAILY = (
    "tests/firewall/table",  # what the kernel can do, and the table of bans with each of that
    "tests/firewall/policy/test_libnftables.py",
    "tests/kernel/test_table.py",
    "tests/kernel/test_restoring.py",
    "tests/kernel/test_policy_routed.py",
)
"""What differs from kernel to kernel. All of them, in ZWARD_GUESTS=all, take an hour a guest."""

TASK = """\
set -e
ln -s /opt/venv .venv
export ZWARD_REQUIRE_KERNEL=1
set -- {tests} -m kernel -p no:cacheprovider -o timeout=600
.venv/bin/python -m pytest "$@" --tb=short --color=no -q --junitxml=answer
"""
TOO_OLD = "does not have yet"


@pytest.fixture(scope="module")
def made() -> Path:
    """The directory with the guests' disk and kernels: made once for the same inputs."""
    if reason := why_not() or missing_machine():
        if os.environ.get("ZWARD_REQUIRE_E2E") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    inputs = [*sorted(GUEST.iterdir()), ROOT / "uv.lock"]
    mark = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()[:12]
    if not (KEPT / mark).exists():
        done = subprocess.run(
            [GUEST / "build", KEPT / mark],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return KEPT / mark


def packed(path: Path, task: str) -> None:
    """The project as it stands here, whether committed or not, with the task beside it; qemu wants whole sectors."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PROJECT]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout.split("\0")
    (path.parent / "task").write_text(task)
    with tarfile.open(path, "w") as archive:
        for name in filter(None, files):
            if (ROOT / name).exists():
                archive.add(ROOT / name, name)
        archive.add(path.parent / "task", "task")
    os.truncate(path, -(-path.stat().st_size // MEBIBYTE) * MEBIBYTE)


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_the_firewall_does_on_this_kernel_what_its_tests_say(
    made: Path, version: str, tmp_path: Path, record_property
) -> None:
    tests = ALL if os.environ.get("ZWARD_GUESTS") == "all" else DAILY
    project, answer = tmp_path / "project.tar", tmp_path / "answer.tar"
    packed(project, TASK.format(tests=" ".join(tests)))
    answer.touch()
    os.truncate(answer, 16 * MEBIBYTE)
    disks = [
        *("-drive", f"if=virtio,file={project},format=raw,readonly=on"),
        *("-drive", f"if=virtio,file={answer},format=raw"),
    ]
    words = (
        # Speculation is no danger without a processor that speculates; namespaces come and go twice as fast.
        "root=/dev/vda rw console=ttyS0 init=/sbin/guest-init quiet panic=-1 mitigations=off rcupdate.rcu_expedited=1"
    )
    kernel = Kernel(made / f"vmlinuz-{version}", made / f"initrd-{version}", words)
    with Machine(made / "disk.qcow2", tmp_path, more=disks, kernel=kernel, memory=1024) as guest:
        guest.start()
        guest.wait_until_off(7200)
        said = guest.tail()
    with tarfile.open(answer) as archive:
        report = archive.extractfile("answer")
        assert report, said
        cases = ElementTree.parse(report).getroot().findall(".//testcase")
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    unexpected = [case for case in cases for skip in case.findall("skipped") if TOO_OLD not in skip.get("message", "")]
    print(f"\nLinux {version}: {len(cases)} tests, {sum(float(case.get('time', 0)) for case in cases):.0f} s")
    record_property(f"tests on Linux {version}", len(cases))
    assert len(cases) > 100, said
    assert [case.get("name") for case in failed + unexpected] == [], said
