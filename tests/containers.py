"""Debian's podman with a store of its own, the image built as its users build it, and containers of it.

Nothing of the machine's own podman is used or changed: both configuration files, the images and the volumes lie in
one directory that is removed at the end. The base is Debian as mmdebstrap makes it, kept in build/base.tar.
"""

import contextlib
import http.client
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.wire import Host

ROOT = Path(__file__).resolve().parents[1]
BASE_TAR = ROOT / "build/base.tar"
QUADLET = ROOT / "image/container/zward.container"
MIRROR = "http://deb.debian.org/debian"

PROGRAMS = ("podman", "buildah", "runc", "mmdebstrap")

BASE, IMAGE = "localhost/debian:bookworm-slim", "localhost/zward:test"

SLIM = [f"path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
"""What Debian's own slim images leave out."""

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{place}/tmp"
[network]
network_backend = "netavark"
"""
"""runc, because crun refuses a machine with both kinds of cgroups; limits that whoever runs this may set."""

STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{place}/graph"
runroot = "{place}/run"
"""

FLAGS = {
    "ContainerName": "--name",
    "Network": "--network",
    "DropCapability": "--cap-drop",
    "AddCapability": "--cap-add",
    "Tmpfs": "--tmpfs",
    "Volume": "--volume",
}
SWITCHES = {"NoNewPrivileges=true": "--security-opt=no-new-privileges", "ReadOnly=true": "--read-only"}
"""What podman-systemd.unit(5) says that each key of a quadlet becomes."""


class Podman:
    """`podman` with a store in `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.first_build = 0.0
        """Seconds, with nothing but the base in the store."""
        files = min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        (place / "containers.conf").write_text(CONTAINERS_CONF.format(place=place, files=files))
        (place / "storage.conf").write_text(STORAGE_CONF.format(place=place))
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(place / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(place / "storage.conf"),
        }

    def tried(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Its output and exit code, whatever they are."""
        return subprocess.run(
            ["podman", *words], env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )

    def run(self, *words: str, seconds: float = 60.0) -> str:
        """What it prints. Raises AssertionError with its complaint."""
        done = self.tried(*words, seconds=seconds)
        assert done.returncode == 0, f"podman {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def build(self, *options: str) -> float:
        """Build the image as its users do; the seconds that it took. `options` go to `podman build`."""
        environment = self.environment | {"BASE": BASE, "TAG": IMAGE, "ENGINE": "podman"}
        began = time.monotonic()
        done = subprocess.run(
            [ROOT / "image/container/build", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - began


@contextlib.contextmanager
def podman() -> Iterator[Podman]:
    """With the base in its store; everything is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="zward-podman-"))
    made = Podman(place)
    try:
        made.run("import", "--quiet", str(_base()), BASE, seconds=120)
        yield made
    finally:
        made.tried("rm", "--all", "--force", "--time", "0")
        subprocess.run(["umount", "--recursive", place / "graph/overlay"], capture_output=True, check=False)
        shutil.rmtree(place)


def _base() -> Path:
    """Debian 12 with nothing but apt, made once: about half a minute."""
    if not BASE_TAR.exists():
        BASE_TAR.parent.mkdir(exist_ok=True)
        beside = BASE_TAR.with_name(f"base.{os.getpid()}.tar")
        words = ["mmdebstrap", "--quiet", "--variant=minbase", *(f"--dpkgopt={line}" for line in SLIM)]
        done = subprocess.run(
            [*words, "bookworm", beside, MIRROR], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        beside.replace(BASE_TAR)
    return BASE_TAR


def quadlet() -> list[tuple[str, str]]:
    """The keys of `[Container]` in image/container/zward.container, in their order."""
    text = QUADLET.read_text(encoding="utf-8").partition("[Container]\n")[2].partition("\n[")[0]
    return [(key, value) for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)]


def flags(without: tuple[str, ...] = ()) -> list[str]:
    """What the quadlet makes of `podman run`, but for these keys."""
    found = []
    for key, value in quadlet():
        if key in without or key == "Image":
            continue
        if switch := SWITCHES.get(f"{key}={value}"):
            found.append(switch)
        else:
            found += [f"{FLAGS[key]}={each}" for each in (value.split() if "Capability" in key else [value])]
    return found


class Container:
    """zward in a container, in the network namespace of a host. Use it in a `with` statement."""

    def __init__(self, engine: Podman, host: Host, config: Path, volume: str, *flags: str) -> None:
        """`config` is mounted at /etc/zward; `volume` holds the state and outlives the container."""
        self.engine = engine
        self.host = host
        self.name = f"zward-{os.getpid()}-{time.monotonic_ns()}"
        mounts = (f"--volume={config}:/etc/zward:ro", f"--volume={volume}")
        network = f"--network=ns:/run/netns/{host.namespace.name}"
        self._words = ("run", "--detach", f"--name={self.name}", network, *flags, *mounts, IMAGE)

    def __enter__(self) -> "Container":
        self.engine.run(*self._words)
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.tried("rm", "--force", "--time", "0", self.name)

    def exec(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.engine.tried("exec", self.name, *words)

    def stop(self) -> float:
        """The seconds that it took."""
        began = time.monotonic()
        self.engine.run("stop", self.name)
        return time.monotonic() - began

    def state(self, key: str) -> str:
        return self.engine.run("inspect", "--format", f"{{{{.State.{key}}}}}", self.name)

    @property
    def said(self) -> str:
        done = self.engine.tried("logs", self.name)
        return done.stdout + done.stderr

    def is_ready(self) -> bool:
        """What it says at /readyz. Raises AssertionError where it has ended."""
        assert self.state("Status") == "running", self.said
        connection = http.client.HTTPConnection("127.0.0.1", 9514)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.sock = self.host.new_socket("127.0.0.1")
            connection.sock.settimeout(5)
            connection.sock.connect(("127.0.0.1", 9514))
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def is_healthy(self) -> bool:
        """What its health check says. It is asked for here: podman leaves that to systemd, which need not be there."""
        return self.engine.tried("healthcheck", "run", self.name).returncode == 0

    def parts(self) -> dict[str, int]:
        """Supervisor, helper and receiver, by their pids on this machine."""
        first = int(self.state("Pid"))
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        found = {"supervisor": first}
        for pid in map(int, children):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found["helper" if b"appliance.firewall.helper" in words else "receiver"] = pid
        return found
