"""A fresh Debian or Ubuntu that runs under its own systemd: a container whose first program is its /sbin/init.

It lives in one of a test's network namespaces, which has no way out: what apt shall install there was downloaded when
the root was made. Roots are kept in build/deb-roots/, so that an archive is asked for one once.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from e2e.wire import Host, wait_until
from namespaces import why_not

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build/deb-roots"

PROGRAMS = ("podman", "runc", "mmdebstrap", "dpkg-deb", "tar", "nft")

SYSTEM = "apt,systemd,systemd-sysv,dbus,iproute2"
"""What a root has beside the essential packages."""

ENGINE = """\
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""runc, since crun refuses a machine with both cgroup hierarchies; cgroupfs, since no systemd runs outside here."""

STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{place}/graph"
runroot = "{place}/run"
"""

POWERS = "NET_ADMIN,NET_RAW,SYS_ADMIN"
"""SYS_ADMIN for the mounts of which systemd's sandboxes are made. The kernel's switches stay closed to it."""


UBUNTU = "http://archive.ubuntu.com/ubuntu"


class Release(NamedTuple):
    """Where a distribution comes from."""

    suite: str
    archive: str
    components: str = "main"
    keyring: str = "/usr/share/keyrings/debian-archive-keyring.gpg"
    keys_from: str = ""
    keys_digest: str = ""


RELEASES = {
    "debian12": Release("bookworm", "http://deb.debian.org/debian"),
    "ubuntu24.04": Release(
        "noble",
        UBUNTU,
        "main,universe",
        "usr/share/keyrings/ubuntu-archive-keyring.gpg",
        f"{UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb",
        "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8",
    ),
}
"""Debian 12 has no package of Ubuntu's keys: they come from there, and are those that this digest names."""


def require() -> None:
    """Skip the test where this machine cannot do it; fail if it was promised to."""
    reason = why_not()
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        reason = reason or f"not installed: {', '.join(absent)}; the cure: sudo make test-image"
    if reason and os.environ.get("ZWARD_REQUIRE_E2E") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def needed_by(package: Path) -> list[str]:
    """What apt takes from the distribution with this package."""
    return re.findall(
        r"(?:: |, |,\n )([a-z0-9.+-]+)", ran(["dpkg-deb", "--field", str(package), "Depends", "Recommends"])
    )


def fresh_root(release: Release, wanted: Sequence[str]) -> Path:
    """An archive of a root with these packages downloaded and not installed."""
    KEPT.mkdir(parents=True, exist_ok=True)
    download = f'chroot "$1" apt-get -qq -y -o APT::Install-Recommends=true --download-only install {" ".join(wanted)}'
    command = [
        *("mmdebstrap", "-q", "--variant=minbase", f"--include={SYSTEM}", "--skip=cleanup/apt"),
        *(f"--components={release.components}", f"--keyring={_keyring(release)}", f"--customize-hook={download}"),
    ]
    mark = hashlib.sha256("\0".join([*command, *release]).encode()).hexdigest()[:12]
    kept = KEPT / f"{release.suite}-{mark}.tar"
    if not kept.exists():
        half = kept.with_suffix(f".{os.getpid()}.tar")
        try:
            ran([*command, release.suite, str(half), release.archive], seconds=300)
            half.rename(kept)
        finally:
            half.unlink(missing_ok=True)
    return kept


def _keyring(release: Release) -> Path:
    if not release.keys_from:
        return Path(release.keyring)
    package = KEPT / release.keys_from.rpartition("/")[2]
    if not package.exists():
        with urllib.request.urlopen(release.keys_from, timeout=30) as answer:
            found = answer.read(1 << 20)
        assert hashlib.sha256(found).hexdigest() == release.keys_digest, f"{release.keys_from} is not what it was"
        package.write_bytes(found)
    ran(["dpkg-deb", "--extract", str(package), str(KEPT / release.suite)])
    return KEPT / release.suite / release.keyring


def ran(words: Sequence[str], seconds: float = 60.0, **more: str) -> str:
    """Run a program to its end; AssertionError with what it said if it fails."""
    environment = os.environ | more
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, env=environment)
    assert done.returncode == 0, (
        f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Booted:
    """The running system."""

    host: Host
    name: str
    root: Path
    environment: dict[str, str]

    def run(self, *words: str, seconds: float = 60.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in it, as root, to its end."""
        done = subprocess.run(
            ["podman", "exec", "--env", "DEBIAN_FRONTEND=noninteractive", self.name, *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=os.environ | self.environment,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.journal()}"
            )
        return done

    def says(self, *words: str) -> str:
        """What a program prints, whatever its exit code."""
        return self.run(*words, check=False).stdout.strip()

    def journal(self) -> str:
        return self.run("journalctl", "--no-pager", "-n", "60", "-o", "cat", check=False).stdout


@contextlib.contextmanager
def booted(archive: Path, host: Host) -> Iterator[Booted]:
    """Unpack the root and start its systemd in the network namespace of `host`."""
    place = Path(tempfile.mkdtemp(prefix="zward-deb-"))
    place.chmod(0o755)
    (place / "containers.conf").write_text(ENGINE)
    (place / "storage.conf").write_text(STORAGE.format(place=place))
    environment = {
        "CONTAINERS_CONF": str(place / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(place / "storage.conf"),
    }
    system = Booted(host, place.name, place / "root", environment)
    try:
        system.root.mkdir()
        ran(["tar", "-C", str(system.root), "-xpf", str(archive), "--exclude=./dev/*"])
        ran(
            [
                *("podman", "run", "--detach", "--name", system.name, "--systemd=always", f"--cap-add={POWERS}"),
                *("--security-opt", "seccomp=unconfined", f"--network=ns:/run/netns/{host.namespace.name}"),
                *("--hostname=gateway", "--rootfs", str(system.root), "/sbin/init"),
            ],
            **environment,
        )
        wait_until("systemd has started", lambda: system.says("systemctl", "is-system-running") == "running", 120)
        yield system
    finally:
        ran(["podman", "rm", "--force", "--ignore", "--time=0", system.name], **environment)
        wait_until("podman has left its store", lambda: _is_removed(place))


def _is_removed(place: Path) -> bool:
    """Podman's clean-up after a container goes on by itself for a moment, and writes."""
    shutil.rmtree(place, ignore_errors=True)
    return not place.exists()
