"""A virtual machine under qemu, without KVM: what a test does with it from outside.

Its network cards are taps in network namespaces, opened by the test and handed to qemu, so that nothing appears in the
machine's own namespace. Its disk is a layer over the image, which is never written.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from namespaces import Namespace

PROGRAMS = ("qemu-system-x86_64", "qemu-img")
FIRMWARE: dict[str, tuple[str, ...]] = {"bios": (), "uefi": ("-bios", "/usr/share/ovmf/OVMF.fd")}

PROCESSOR = "max,cx16=off"
"""qemu 7.2 executes `cmpxchg16b` wrongly: Linux from 6.8 on, whose allocator uses it, falls over within seconds. One in
five starts with two processors ended in an Oops, where the kernel changes its own code; so there is one."""

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
TAIL = 3000
"""Of the serial console, in an error, characters."""

T = TypeVar("T")


def missing() -> str | None:
    """What keeps a virtual machine from running here, in words."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if not Path(FIRMWARE["uefi"][1]).exists():
        absent.append("OVMF")
    return f"not installed: {', '.join(absent)}; the cure: sudo .ci/packages image" if absent else None


@dataclass(frozen=True, slots=True)
class Tap:
    """A network card's other end: the interface that a namespace sees. It is there until it is closed."""

    descriptor: int
    address: str
    """The card's own hardware address."""

    def close(self) -> None:
        os.close(self.descriptor)


def new_tap(namespace: Namespace, device: str, address: str) -> Tap:
    """Make `device` in a namespace, up; a machine that is given the tap has a card with `address`."""
    with namespace.entered():
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    namespace.ip("link", "set", device, "up")
    return Tap(descriptor, address)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Started directly, without firmware and without the disk's own boot loader."""

    image: Path
    initrd: Path
    words: str

    def options(self) -> tuple[str, ...]:
        return ("-kernel", str(self.image), "-initrd", str(self.initrd), "-append", self.words)


class Machine:
    """One machine. Use it in a `with` statement: the disk's layer is new, the machine is off."""

    def __init__(
        self,
        disk: Path,
        directory: Path,
        taps: Sequence[Tap] = (),
        more: Sequence[str] = (),
        *,
        firmware: str = "bios",
        kernel: Kernel | None = None,
        memory: int = 768,
    ) -> None:
        """`directory` takes the layer and the log; `more` are further words for qemu; `memory` is in MiB."""
        self.serial = directory / "serial.log"
        self._layer, self._monitor = directory / "disk.qcow2", directory / "monitor"
        self._base, self._taps = disk, taps
        self._qemu: subprocess.Popen[bytes] | None = None
        self._words = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35", "-cpu", PROCESSOR),
            *("-accel", "tcg", "-smp", "1", "-m", str(memory), "-device", "virtio-rng-pci"),
            *(kernel.options() if kernel else FIRMWARE[firmware]),
            *("-drive", f"if=virtio,file={self._layer},format=qcow2,cache=unsafe"),
            *("-chardev", f"file,id=serial,path={self.serial},append=on", "-serial", "chardev:serial"),
            *("-qmp", f"unix:{self._monitor},server=on,wait=off"),
            *more,
        ]
        for number, tap in enumerate(taps):
            self._words += ("-netdev", f"tap,id=net{number},fd={tap.descriptor}")
            self._words += ("-device", f"virtio-net-pci,netdev=net{number},mac={tap.address}")

    def __enter__(self) -> "Machine":
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(self._base), str(self._layer)]
        subprocess.run(command, check=True, timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        if self._qemu and self._qemu.poll() is None:
            self._qemu.kill()
            self._qemu.wait(10)

    def start(self) -> None:
        """Switch it on. It ends with the tests, even if they are killed."""
        with self.serial.open("ab") as said:
            self._qemu = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=[tap.descriptor for tap in self._taps],
            )

    @property
    def is_on(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    def wait_until(self, what: str, look: Callable[[], T], seconds: float) -> T:
        """The first true answer of `look`. AssertionError with the console's last lines if none comes in time."""
        deadline = time.monotonic() + seconds
        while not (answer := look()):
            assert self.is_on, f"the machine is off before {what}; its console: {self.tail()}"
            assert time.monotonic() < deadline, (
                f"{seconds:g} s were not enough until {what}; its console: {self.tail()}"
            )
            time.sleep(0.2)
        return answer

    def wait_until_off(self, seconds: float) -> None:
        """Until it has switched itself off."""
        assert self._qemu
        try:
            self._qemu.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"it was still on after {seconds:g} s; its console: {self.tail()}") from late

    def tail(self) -> str:
        return self.serial.read_text(errors="replace").replace("\r", "")[-TAIL:] if self.serial.exists() else ""

    def save(self, name: str) -> None:
        """Keep memory and disk as they are now."""
        self._human(f"savevm {name}", 60)

    def load(self, name: str) -> None:
        """Go back to what was kept. Its clock goes on from there: it is behind by what has passed since."""
        self._human(f"loadvm {name}", 60)

    def reset(self) -> None:
        """As by the button: nothing is written any more."""
        self._human("system_reset", 10)

    def _human(self, line: str, seconds: float) -> None:
        said = self._ask("human-monitor-command", seconds, **{"command-line": line})
        assert not said, f"{line}: {said}"

    def _ask(self, execute: str, seconds: float, **arguments: str) -> Any:
        """The answer to one command of QMP (docs/interop/qmp-spec of qemu): a line of JSON each way, besides events."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as channel, channel.makefile("rb") as lines:
            channel.settimeout(seconds)
            channel.connect(str(self._monitor))
            for name, given in (("qmp_capabilities", {}), (execute, arguments)):
                channel.sendall(json.dumps({"execute": name, "arguments": given}).encode() + b"\n")
                answer: dict[str, Any] = {}
                while not answer.keys() & {"return", "error"}:
                    answer = json.loads(lines.readline())
                assert "error" not in answer, answer
        return answer["return"]
