"""The README's quick start for each of the three ways, line by line as it stands there."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import BASE, podman
from e2e.conftest import missing as missing_mailhost
from e2e.wire import MAIL, World, wait_until
from image.booted import RELEASES, ROOT, booted, fresh_root, needed_by, ran, require
from image.machine import Machine
from image.machine import missing as missing_machine
from image.perimeter import Perimeter

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Three ways to keep it\n")[2].partition("\n## ")[0]
PACKAGE, CONTAINER, VM = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
WIZARD = "ssh root@10.0.0.1 zward setup wizard"

SUDO = '#!/bin/sh\nexec "$@"\n'
"""The tests are root."""

ONLY_THE_HOSTS = f"{MAIL[4]}\n" + "\n" * 40
"""What is typed into the wizard: the mail host, and for every other question what it offers."""

BOOT_SECONDS = 420.0


def lines_of(block: str) -> list[str]:
    """The commands of a block, each with its continued lines."""
    return re.findall(r"^(?:.*\\\n)*.*$", block.strip(), re.MULTILINE)


@pytest.fixture
def world() -> Iterator[World]:
    require()
    with World() as made:
        yield made


def test_there_is_one_for_each_form() -> None:
    assert [lines_of(block)[0] for block in (PACKAGE, CONTAINER, VM)] == ["make deb", "make container", "make vm"]
    assert WIZARD in SECTION


def test_the_package_on_a_fresh_debian(world: World) -> None:
    make, *there = lines_of(PACKAGE)
    ran(["sh", "-c", f"cd {ROOT} && {make}"], seconds=500)
    package = next(ROOT.glob("build/zward_*~deb12_*.deb"))
    with booted(fresh_root(RELEASES["debian12"], needed_by(package)), world.gateway) as system:
        sudo = system.root / "usr/local/bin/sudo"
        sudo.write_text(SUDO)
        sudo.chmod(0o755)
        (system.root / "root/build").mkdir()
        (system.root / "root/build" / package.name).write_bytes(package.read_bytes())
        for line in there:
            done = subprocess.run(
                ["podman", "exec", "-i", "-w", "/root", system.name, "sh", "-c", line],
                input=ONLY_THE_HOSTS if "wizard" in line else "y\n",
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
                env=system.environment | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}{system.journal()}"
        assert MAIL[4] in (system.root / "etc/zward/zward.toml").read_text()
        assert "observe" in done.stdout


def test_the_container(world: World, tmp_path: Path) -> None:
    make, *lines, asked = lines_of(CONTAINER)
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin/sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    for name in ("above", "work"):
        (tmp_path / name).mkdir()
    script = "\n".join(
        [
            "set -e",
            f"cd {ROOT}",
            # What is written into /etc is seen here alone, and gone with the test.
            f"mount -t overlay zward -o lowerdir=/etc,upperdir={tmp_path}/above,workdir={tmp_path}/work /etc",
            make,
            f"exec nsenter --net=/run/netns/{world.gateway.namespace.name} sh -e <<'THERE'",
            "trap 'podman rm --force --time 0 zward >/dev/null' EXIT",
            *lines,
            f"for _ in $(seq 60); do {asked} && exit 0; sleep 1; done",
            "podman logs zward >&2; exit 1",
            "THERE",
        ]
    )
    with podman() as engine:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            env=engine.environment | {"BASE": BASE, "PATH": f"{tmp_path}/bin:{engine.environment['PATH']}"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "observe" in done.stdout
    assert not Path("/etc/zward").exists()


def test_the_virtual_machine_by_uefi(tmp_path: Path, record_property) -> None:
    require()
    assert not (reason := missing_mailhost() or missing_machine()), reason
    (tmp_path / ".ssh").mkdir()
    key = tmp_path / ".ssh/id_ed25519"
    ran(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    (ROOT / "build/seed.img").unlink(missing_ok=True)
    for line in lines_of(VM):
        ran(["sh", "-c", f"cd {ROOT} && {line}"], seconds=800, HOME=str(tmp_path))

    options = ("-F", "none", "-i", str(key), "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "ConnectTimeout=10")
    login = ("-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR")
    seed = ("-drive", f"if=virtio,file={ROOT}/build/seed.img,format=raw,readonly=on")
    disk = next(ROOT.glob("build/zward-?.?.?.qcow2"))
    with Perimeter() as around, Machine(disk, tmp_path, around.taps, seed, firmware="uefi") as machine:
        around.mail.namespace.ip("address", "add", "10.0.0.2/24", "dev", "wire")

        def typed(line: str, given: str = "", seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
            """`ssh root@10.0.0.1 …`, at a machine on the inside."""
            words = [*around.mail.namespace.prefix, "ssh", *options, *login, *line.split()[1:]]
            return subprocess.run(words, input=given, capture_output=True, text=True, timeout=seconds, check=False)

        began = time.monotonic()
        machine.start()
        at_root = WIZARD.removesuffix("zward setup wizard")
        machine.wait_until("ssh answers", lambda: typed(f"{at_root} true").returncode == 0, BOOT_SECONDS)
        record_property("ssh answers after power-on by UEFI, without KVM, seconds", round(time.monotonic() - began, 1))
        assert typed(f"{at_root} test -d /sys/firmware/efi").returncode == 0
        configured = typed(WIZARD, "10.0.0.10\n" + "\n" * 40)
        assert configured.returncode == 0, configured.stdout + configured.stderr
        checked = typed(f"{at_root} zward check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        wait_until("zward answers", lambda: "observe" in typed(f"{at_root} zward status").stdout, 180)
