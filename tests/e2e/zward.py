"""The real `zward run`, in the gateway's namespace, and what an operator can ask it."""

import contextlib
import http.client
import json
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

from e2e.wire import GATEWAY, Host, wait_until
from prometheus_client.parser import text_string_to_metric_families

ZWARD = Path(sys.executable).with_name("zward")

CONFIG = Template("""\
mode = "$mode"
[listen]
udp = ["$gateway:5514"]
tcp = ["$gateway:5514"]
senders = ["192.0.2.0/24"]
[zimbra]
hosts = ["192.0.2.0/24", "2001:db8:1::/48", "127.0.0.0/8"]
proxies = ["192.0.2.5"]
[http]
listen = "127.0.0.1:9514"
[store]
path = "$directory/zward.db"
[admin]
socket = "$directory/zward.sock"
[ladder]
steps = ["$ban"]
jitter = 0.0
""")

TABLES = ("zward", "zward_policy")


class Zward:
    """One daemon with its configuration and its store. Use it in a `with` statement."""

    def __init__(self, host: Host, directory: Path, ban: str = "10m", mode: str = "enforce", more: str = "") -> None:
        """`ban` is how long every ban lasts: the ladder has one step. `more` ends the configuration."""
        self.host = host
        self.config = directory / "zward.toml"
        text = CONFIG.substitute(gateway=GATEWAY[4], directory=directory, ban=ban, mode=mode)
        self.config.write_text(text + more)
        self.said = directory / "zward.out"

    def __enter__(self) -> "Zward":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and forget its bans, which would outlive it."""
        self.stop()
        for table in TABLES:
            self.host.run("nft", "delete", "table", "inet", table)

    def start(self) -> None:
        self.daemon = self.host.start(ZWARD, "run", "--config", self.config, said=self.said)
        try:
            wait_until("zward is ready", self._is_ready, 30)
        except AssertionError as late:
            raise AssertionError(f"{late}; it said: {self.said.read_text()}") from late

    def stop(self) -> None:
        if self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(10)

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would: no last words."""
        self.daemon.kill()
        self.daemon.wait(10)

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
        return self.host.run(ZWARD, *words, "--config", self.config)

    def bans(self) -> dict[str, dict[str, Any]]:
        """What `zward bans --json` lists, by network."""
        listed = self.command("bans", "--json")
        assert listed.returncode in (0, 3), listed.stderr
        return {row["address"]: row for row in json.loads(listed.stdout or "[]")}

    def in_kernel(self, name: str) -> set[str]:
        """The elements of one of the kernel's ban sets, as `nft list set` shows them."""
        listed = self.host.run("nft", "--json", "list", "set", "inet", "zward", name)
        assert listed.returncode == 0, listed.stderr
        [found] = [row["set"] for row in json.loads(listed.stdout)["nftables"] if "set" in row]
        return {element["elem"]["val"] for element in found.get("elem", [])}
