"""The perimeter VM between the world and a mail host, as in e2e.wire: there the gateway is a namespace, here a machine.

    attacker ──(the provider's router, which is the client)── wan [ the VM ] lan ── mail

The client is an administrator too: from there the test reaches the machine by ssh.
"""

import contextlib
import itertools
import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e.wire import CLIENT, GATEWAY, MAIL, World
from image.machine import Machine, Tap, new_tap
from namespaces import network

ROOT = Path(__file__).resolve().parents[2]

WAN = "203.0.113.1"
"""The machine's own address in the world, and where the world finds the mail host."""
CARDS = {"wan": "52:54:00:00:00:01", "lan": "52:54:00:00:00:02"}
LIMIT = 6
"""Wrong passwords that the guessing detector bans for."""
BAN_SECONDS = 3600

CONFIG = f"""\
mode = "enforce"
[listen]
udp = ["0.0.0.0:514", "[::]:514"]
tcp = ["0.0.0.0:514", "[::]:514"]
senders = ["192.0.2.0/24"]
[zimbra]
hosts = ["192.0.2.0/24", "127.0.0.0/8"]
[ladder]
steps = ["{BAN_SECONDS}s"]
jitter = 0.0
[gateway]
mode = "routed"
wan = ["wan"]
lan = ["lan"]
admin = ["{CLIENT[4]}"]
snat = "{WAN}"
""" + "".join(
    f'[[gateway.publish]]\nscope = "{scope}"\nto = ["{MAIL[4]}"]\nat = ["{WAN}"]\n'
    for scope in ("smtp-in", "login", "web", "admin")
)


class Perimeter(World):
    """The three hosts around the machine. `taps` are what its cards are plugged into, wan first."""

    def __enter__(self) -> "Perimeter":
        self._attackers = itertools.count(11)
        self._hosts = []
        with contextlib.ExitStack() as stack:
            net = stack.enter_context(network())
            stack.callback(self._end_programs)
            self.attacker, self.client, self.mail = (self._host(net, role) for role in ("attacker", "client", "mail"))
            self.taps: list[Tap] = []
            for host, card in ((self.client, "wan"), (self.mail, "lan")):
                self.taps.append(new_tap(host.namespace, "wire", CARDS[card]))
                stack.callback(self.taps[-1].close)
            net.link(self.attacker.namespace, "wire", self.client.namespace, "attackers")
            self.client.namespace.ip("address", "add", f"{CLIENT[4]}/24", "dev", "wire")
            self.client.namespace.ip("address", "add", "198.51.100.1/24", "dev", "attackers")
            self.client.configure("ipv4/ip_forward", 1)
            self.attacker.namespace.ip("route", "add", "198.51.100.0/24", "dev", "wire")
            self.attacker.namespace.ip("route", "add", "default", "via", "198.51.100.1")
            self.mail.namespace.ip("address", "add", f"{MAIL[4]}/24", "dev", "wire")
            self.mail.namespace.ip("route", "add", "default", "via", GATEWAY[4])
            self._close = stack.pop_all().close
        return self


class Gateway:
    """The machine and zward in it, as its operator sees them."""

    def __init__(self, machine: Machine, world: Perimeter, directory: Path) -> None:
        self.machine, self.world, self.directory = machine, world, directory
        options = {
            "IdentityFile": directory / "key",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": directory / "known_hosts",
            "StrictHostKeyChecking": "accept-new",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": 20,
            "ControlMaster": "auto",
            "ControlPath": directory / "ssh",
            "ControlPersist": 600,
        }
        words = itertools.chain.from_iterable(("-o", f"{key}={value}") for key, value in options.items())
        self._ssh = ("ssh", "-F", "none", *words)

    def run(self, *words: str, seconds: float = 180.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program on the gateway, as root."""
        done = self._run(f"root@{WAN}", "--", shlex.join(words), seconds=seconds)
        assert done.returncode == 0 or not check, (
            f"{shlex.join(words)}: exit {done.returncode}: {done.stderr}{done.stdout}"
        )
        return done

    def _run(self, *words: str, seconds: float = 180.0) -> subprocess.CompletedProcess[str]:
        command = [*self.world.client.namespace.prefix, *self._ssh, *words]
        with (self.directory / "said").open("w+") as said, (self.directory / "complained").open("w+") as complained:
            # Files, not pipes: the connection that is kept for the next command would hold a pipe open.
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, timeout=seconds, check=False
            )
            said.seek(0), complained.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, said.read(), complained.read())

    def says(self, *words: str) -> str:
        return self.run(*words).stdout.strip()

    def hang_up(self) -> None:
        """Forget the connection: the machine that it led to is not the same any more."""
        self._run("-O", "exit", f"root@{WAN}")

    def get(self, path: str) -> str:
        """A page of zward's own web server, with its headers; empty if nobody serves it."""
        ask = f"exec 3<>/dev/tcp/127.0.0.1/9514 && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
        return self.run("bash", "-c", ask, check=False).stdout

    def is_ready(self) -> bool:
        """Whether zward says that it is. No answer to ssh is no."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return " 200 " in self.get("/readyz").partition("\r\n")[0]
        return False

    def wait_until_ready(self, seconds: float) -> float:
        """The seconds that it took."""
        began = time.monotonic()
        self.machine.wait_until("zward in the machine is ready", self.is_ready, seconds)
        return time.monotonic() - began

    def wait_until_started(self, seconds: float) -> None:
        """Until systemd has nothing more to start."""
        done = self.run("systemctl", "is-system-running", "--wait", seconds=seconds, check=False)
        assert done.stdout.strip() in ("running", "degraded"), f"{done.stdout}{done.stderr}{self.machine.tail()}"

    def wait_until_rebooted(self, boot: str, seconds: float) -> float:
        """The seconds until zward is ready in another boot than this one."""
        began = time.monotonic()
        asked = ("cat", "/proc/sys/kernel/random/boot_id")

        def is_another() -> bool:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said = self.run(*asked, check=False).stdout.strip()
                return said not in ("", boot)
            return False

        self.machine.wait_until("the machine has started again", is_another, seconds)
        self.wait_until_ready(seconds - (time.monotonic() - began))
        return time.monotonic() - began

    def set_clock(self) -> None:
        """To the time outside: it is behind after its state was loaded."""
        self.run("date", "--utc", "--set", f"@{time.time():.3f}")

    def bans(self) -> dict[str, dict[str, Any]]:
        """What `zward bans --json` lists, by address."""
        listed = self.run("zward", "bans", "--json", check=False)
        assert listed.returncode in (0, 3), listed.stderr
        return {row["address"]: row for row in json.loads(listed.stdout or "[]")}

    def seconds_left(self, name: str = "ban4") -> dict[str, int]:
        """The elements of one of the kernel's ban sets, each with the seconds after which it is forgotten."""
        listed = json.loads(self.says("nft", "--json", "list", "set", "inet", "zward", name))
        [found] = [row["set"] for row in listed["nftables"] if "set" in row]
        return {element["elem"]["val"]: element["elem"]["expires"] for element in found.get("elem", [])}

    def pid(self, unit: str) -> int:
        return int(self.says("systemctl", "show", "--property=MainPID", "--value", unit))


def write_seed(directory: Path) -> Path:
    """A key for ssh, and the disk that tells the machine everything else about itself."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key"], check=True, timeout=20)
    (directory / "zward.toml").write_text(CONFIG)
    seed = directory / "seed.img"
    command = [
        *(ROOT / "image/vm/seed", "--output", seed, "--hostname", "gw1", "--ssh-key", directory / "key.pub"),
        *("--wan", f"{CARDS['wan']}={WAN}/24,{CLIENT[4]}", "--lan", f"{CARDS['lan']}={GATEWAY[4]}/24"),
        *("--config", directory / "zward.toml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return seed


@contextlib.contextmanager
def gateway(disk: Path, world: Perimeter, directory: Path, firmware: str = "bios") -> Iterator[Gateway]:
    """A machine from the image, not on yet, with a seed of its own."""
    seed = ("-drive", f"if=virtio,file={write_seed(directory)},format=raw,readonly=on")
    with Machine(disk, directory, world.taps, seed, firmware=firmware) as machine:
        yield Gateway(machine, world, directory)
