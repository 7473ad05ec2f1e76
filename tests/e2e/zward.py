"""The real `zward run`, in the gateway's namespace, and what an operator can ask it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

from e2e import reachable
from e2e.wire import CLIENT, GATEWAY, MAIL, Host, wait_until
from prometheus_client.parser import text_string_to_metric_families

from appliance.firewall.table import elements
from appliance.firewall.table.netlink import INET, NFTABLES, Message, Netlink, attributes

ZWARD = Path(sys.executable).with_name("zward")

CONFIG = Template("""\
mode = "$mode"
[listen]
udp = ["$gateway:$port"]
tcp = ["$gateway:$port"]
senders = ["192.0.2.0/24"]
[zimbra]
hosts = ["192.0.2.0/24", "2001:db8:1::/48", "127.0.0.0/8"]
proxies = ["192.0.2.5"]
[http]
listen = "127.0.0.1:9514"
[store]
path = "$directory/lib/zward.db"
[admin]
socket = "$directory/run/zward.sock"
[ladder]
steps = ["$ban"]
jitter = 0.0
""")

PUBLIC = {4: "198.51.100.1", 6: MAIL[6]}
"""Where the world finds the mail host once there is a policy: by address translation, and as it is."""

POLICY = f"""\
[gateway]
mode = "routed"
wan = ["attacker", "client"]
lan = ["mail"]
admin = ["{CLIENT[4]}", "{CLIENT[6]}"]
"""

ADMIN_CONNECTION = f"{CLIENT[4]} 51234 {GATEWAY[4]} 22"
"""What sshd tells the operator's shell."""

TABLES = ("zward", "zward_policy")


def published(*scopes: str) -> str:
    """The policy of a gateway with these scopes of the mail host open."""
    return POLICY + "".join(
        f'[[gateway.publish]]\nscope = "{scope}"\nto = ["{MAIL[4]}", "{MAIL[6]}"]\nat = ["{PUBLIC[4]}"]\n'
        for scope in scopes
    )


EVERYTHING = published("smtp-in", "login", "web", "admin")


class Zward:
    """One daemon with its configuration and its store. Use it in a `with` statement."""

    def __init__(
        self,
        host: Host,
        directory: Path,
        ban: str = "10m",
        mode: str = "enforce",
        more: str = "",
        *,
        port: int = 5514,
        has_users: bool = True,
    ) -> None:
        """`ban` is how long every ban lasts: the ladder has one step. `more` ends the configuration.

        `has_users`: whether the users of zward's parts are there, as an installation makes them.
        """
        directory.chmod(0o755)  # for parts that are no root
        self.host = host
        self.directory = directory
        self.config = directory / "zward.toml"
        self.firewall = directory / "run-firewall"
        self._text = CONFIG.substitute(gateway=GATEWAY[4], directory=directory, ban=ban, mode=mode, port=port)
        self.configure(more)
        self.said = directory / "zward.out"
        self.daemon: subprocess.Popen[bytes] | None = None
        self._reachable = reachable.command(directory, has_users=has_users)

    def configure(self, more: str = "") -> None:
        """Write the configuration, with another end."""
        self.config.write_text(self._text + more)

    def __enter__(self) -> "Zward":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and forget its bans, which would outlive it."""
        self.stop()
        self.forget()

    def forget(self) -> None:
        """Take both tables out of the kernel, where nobody owns them any more."""
        for table in TABLES:
            self.host.run("nft", "delete", "table", "inet", table)

    def start(self, *options: str) -> None:
        self._started(*self._running(*options))

    def start_receiver(self) -> None:
        """The receiver alone, as its service starts it: the helper must be up already."""
        self._started(*self.as_receiver(), ZWARD, "run", "--config", self.config)

    def _started(self, *words: str | Path) -> None:
        self.daemon = self.host.start(*words, said=self.said)
        try:
            wait_until("zward is ready", self._is_ready, 30)
        except AssertionError as late:
            raise AssertionError(f"{late}; it said: {self.said.read_text()}") from late

    def _running(self, *options: str, ssh: str = ADMIN_CONNECTION) -> tuple[str | Path, ...]:
        return (*self._reachable, "env", f"SSH_CONNECTION={ssh}", ZWARD, "run", *options, "--config", self.config)

    def runs_out(self, *options: str, ssh: str = ADMIN_CONNECTION) -> subprocess.CompletedProcess[str]:
        """`zward run` where it is not to start: what it says, and its exit code."""
        return self.host.run(*self._running(*options, ssh=ssh))

    def stop(self) -> None:
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(10)

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would, all of it: no last words."""
        parts = [self.daemon.pid, *self.children()]
        for pid in parts:
            os.kill(pid, signal.SIGKILL)
        self.daemon.wait(10)
        wait_until("all of it is gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in parts))

    def children(self) -> list[int]:
        """The helper and the receiver."""
        pids = Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text().split()
        return [int(pid) for pid in pids]

    def parts(self, name: str) -> list[int]:
        """The pid of the `helper` or the `receiver`; none while it is not there."""
        words = {"helper": "appliance.firewall.helper", "receiver": "--supervised"}[name]
        return [pid for pid in self.children() if words in _command_line(pid)]

    def part(self, name: str) -> int:
        [pid] = self.parts(name)
        return pid

    def hang_up(self) -> None:
        """Have it read its configuration again, as `systemctl reload` would; it is done with that later."""
        self.daemon.send_signal(signal.SIGHUP)

    def reloaded(self) -> None:
        """Have it read its configuration again, and take it up."""
        before = self.metric("zward_config_reloads_total", result="success")
        self.hang_up()
        wait_until("it is taken up", lambda: self.metric("zward_config_reloads_total", result="success") > before)

    def _is_ready(self) -> bool:
        assert self.daemon.poll() is None, f"zward ended with {self.daemon.returncode}"
        with contextlib.suppress(ConnectionRefusedError):
            return self.get("/readyz")[0] == 200
        return False

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of its own web server."""
        connection = http.client.HTTPConnection("127.0.0.1", 9514)
        connection.sock = self.host.new_socket("127.0.0.1")
        with contextlib.closing(connection):
            connection.sock.settimeout(5)
            connection.sock.connect(("127.0.0.1", 9514))
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name that carry these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`zward WORDS` as the operator types it on the gateway."""
        return self.host.run("env", f"SSH_CONNECTION={ADMIN_CONNECTION}", ZWARD, *words, "--config", self.config)

    def command_of_receiver(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same as the user that the receiver runs as."""
        return self.host.run(*self.as_receiver(), ZWARD, *words, "--config", self.config)

    def as_receiver(self) -> tuple[str, ...]:
        uid = reachable.users()["zward"]
        drop = ("--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
        return (*self._reachable, "setpriv", f"--reuid={uid}", f"--regid={uid}", *drop)

    def told(self, *words: str) -> Any:
        """What a command answers in JSON."""
        answer = self.command(*words, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def bans(self) -> dict[str, dict[str, Any]]:
        """What `zward bans --json` lists, by network."""
        listed = self.command("bans", "--json")
        assert listed.returncode in (0, 3), listed.stderr
        return {row["address"]: row for row in json.loads(listed.stdout or "[]")}

    def tables(self) -> set[str]:
        """What `nft list tables` says."""
        return set(self.host.run("nft", "list", "tables").stdout.splitlines())

    def in_kernel(self, name: str) -> set[str]:
        """The elements of one of the kernel's ban sets, as `nft list set` shows them."""
        return set(self.seconds_left(name))

    def seconds_left(self, name: str) -> dict[str, int]:
        """The same with the seconds after which each is forgotten."""
        listed = self.host.run("nft", "--json", "list", "set", "inet", "zward", name)
        assert listed.returncode == 0, listed.stderr
        [found] = [row["set"] for row in json.loads(listed.stdout)["nftables"] if "set" in row]
        return {element["elem"]["val"]: element["elem"].get("expires", 0) for element in found.get("elem", [])}

    def count_in_kernel(self, name: str) -> int:
        """How many elements a set has: in 0.1 ms where the kernel says so (Linux 6.16), else as long as a listing."""
        with self.host.namespace.entered(), contextlib.closing(Netlink()) as kernel:
            found = kernel.ask(NFTABLES, Message(10, 0, INET, elements.of_set(name)))  # NFT_MSG_GETSET
        if found is None:
            return 0
        count = attributes(found).get(20)  # NFTA_SET_COUNT
        return len(self.seconds_left(name)) if count is None else int.from_bytes(count, "big")


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
