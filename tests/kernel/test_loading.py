"""`zward firewall load`, `confirm`, `diff` and `clear` in a network namespace, as root types them.

`--force` keeps the connection of whoever runs the tests out of it; the tests of the guard bring their own.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from namespaces import Namespace, network, require_kernel
from running import COMMAND

from appliance.firewall.orders import read as read_orders

pytestmark = pytest.mark.kernel

GATEWAY = """
[gateway]
mode = "routed"
wan = ["wan0"]
lan = ["lan0"]
admin = ["198.51.100.0/28"]
[[gateway.publish]]
scope = "smtp-in"
to = ["10.20.0.10", "2001:db8:20::10"]
at = ["203.0.113.1"]
"""
ADMIN, STRANGER = "198.51.100.9 51234 203.0.113.1 22", "203.0.113.77 51234 203.0.113.1 22"
FOREIGN = "table inet somebody_elses { chain input { type filter hook input priority 0; policy accept; }; }"


@dataclass(frozen=True)
class Host:
    """A gateway in a namespace of its own, and its configuration."""

    where: Namespace
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "zward.toml"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    def configure(self, more: str = GATEWAY) -> None:
        self.config.write_text(
            f'[firewall]\ndirectory = "{self.run}"\n[store]\npath = "{self.directory}/zward.db"\n'
            f'[zimbra]\nhosts = ["10.20.0.0/24"]\n[allow]\nnetworks = ["192.0.2.7"]\n{more}'
        )

    def command(self, *words: str) -> list[str]:
        return [*self.where.prefix, COMMAND, "firewall", *words, "--config", str(self.config)]

    def zward(self, *words: str, given: str = "", ssh: str | None = None) -> "subprocess.CompletedProcess[str]":
        env = os.environ | ({"SSH_CONNECTION": ssh} if ssh else {})
        return subprocess.run(
            self.command(*words), input=given, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """One that asks at its standard input, in a session of its own, as over ssh."""
        return subprocess.Popen(
            self.command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def load(self, *words: str) -> None:
        done = self.zward("load", "--force", *words)
        assert done.returncode == 0, done.stderr

    def ruleset(self) -> str:
        return self.where.run("nft", "-s", "list", "ruleset")

    def switch(self, name: str) -> str:
        return self.where.run("sysctl", "-n", name).strip()

    def files(self) -> dict[str, str]:
        kept = (each for each in self.run.glob("*") if each.is_file() and each.name != "loading")
        return {each.name: each.read_text() for each in kept}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    require_kernel()
    with network() as net:
        made = Host(net.namespace("gateway"), tmp_path)
        made.configure()
        yield made


def until(condition: Callable[[], bool]) -> None:
    """As long as the test may run."""
    while not condition():
        time.sleep(0.02)


def waiters(host: Host) -> list[int]:
    """The processes that would take a policy of this host back."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"appliance.root.rollback" in words and bytes(host.run) in words:
            found.append(int(entry.name))
    return found


def begin_waiting(host: Host, within: str) -> "subprocess.Popen[str]":
    """`load --confirm`, up to the point where it asks."""
    started = host.start("load", "--force", "--confirm", within)
    assert started.stdout
    said = []
    while "is taken back in" not in (line := started.stdout.readline()):
        said.append(line)
        assert line, f"it did not ask: {''.join(said)}"
    return started


def outcome(asking: "subprocess.Popen[str]") -> str:
    """What else it says until it ends; its standard input stays open, as a terminal does."""
    assert asking.stdout
    assert asking.stdin
    said = asking.stdout.read()
    asking.wait(60)
    asking.stdout.close()
    asking.stdin.close()
    return said


def test_a_load_puts_the_policy_in_force_and_leaves_orders_for_the_helper(host: Host) -> None:
    host.where.run("nft", FOREIGN)

    done = host.zward("load", "--force")

    assert (done.returncode, done.stderr) == (0, "")
    assert "loaded: table inet zward_policy, mode routed" in done.stdout
    assert "table inet zward_policy {" in host.ruleset()
    assert "somebody_elses" in host.ruleset()
    assert set(host.files()) == {"orders", "policy.nft", "policy.listing", "sysctls.before"}
    orders = read_orders(host.run / "orders")
    assert {"10.20.0.0/24", "192.0.2.7", "127.0.0.1"} <= {str(net) for net in orders.never_ban}
    assert (orders.mark, orders.reset, orders.samples) == (True, False, 7765)
    assert host.switch("net.ipv4.ip_forward") == host.switch("net.ipv6.conf.all.forwarding") == "1"
    assert "set: net.ipv4.ip_forward = 1" in done.stdout


SIEGE = """
[sshd]
enabled = true
ports = "22,2222"
[detect.siege.fence]
enabled = true
ports = [993]
networks = ["203.0.113.0/24"]
"""


def test_sshds_ports_and_what_may_be_fenced_reach_the_helper_in_its_orders(host: Host) -> None:
    host.configure(GATEWAY + SIEGE)

    done = host.zward("load", "--force", ssh=STRANGER)

    orders = read_orders(host.run / "orders")
    assert (orders.extra_ports, orders.fence) == ((22, 2222), (993,))
    assert {"203.0.113.0/24", "10.20.0.10", "2001:db8:20::10"} == {str(net) for net in orders.fence_from}
    assert "198.51.100.0/28" in {str(net) for net in orders.never_ban}
    assert "you are connected from 203.0.113.77" in done.stderr
    assert "you are connected" not in host.zward("load", ssh=ADMIN).stderr
    host.configure(GATEWAY)
    host.load()
    assert (read_orders(host.run / "orders").extra_ports, read_orders(host.run / "orders").fence) == ((), ())


def test_the_file_that_it_leaves_makes_the_very_same_table(host: Host) -> None:
    host.load()
    before = host.ruleset()

    host.where.run("nft", "flush", "ruleset")
    host.where.run("nft", "-f", str(host.run / "policy.nft"))

    assert host.ruleset() == before


def test_a_policy_that_would_cut_the_own_connection_is_refused_and_changes_nothing(host: Host) -> None:
    refused = host.zward("load", ssh=STRANGER)

    assert refused.returncode == 6
    assert 'admin = ["198.51.100.0/28", "203.0.113.77"]' in refused.stderr
    assert "--force" in refused.stderr
    assert host.ruleset() == ""
    assert not host.run.exists()
    assert host.switch("net.ipv4.ip_forward") == "0"
    assert host.zward("load", ssh=ADMIN).returncode == 0
    assert host.zward("load", "--force", ssh=STRANGER).returncode == 0


def test_a_configuration_that_others_can_write_is_refused(host: Host) -> None:
    host.config.chmod(0o666)

    refused = host.zward("load", "--force")

    assert refused.returncode == 6
    assert refused.stderr.startswith(f"{host.config} may not say what root loads: {host.config}: others than root")
    assert host.ruleset() == ""


def table_handle(host: Host) -> str:
    """Another one once the table was replaced."""
    head = host.where.run("nft", "-a", "list", "table", "inet", "zward_policy").partition("\n")[0]
    return head.rpartition(" handle ")[2]


def test_a_reload_keeps_what_the_limits_count_unless_somebody_changed_the_table(host: Host) -> None:
    host.load()
    first = table_handle(host)
    host.configure(GATEWAY.replace("198.51.100.0/28", "192.0.2.128/25"))

    host.load()
    assert table_handle(host) == first
    assert "192.0.2.128/25" in host.ruleset()
    assert "198.51.100.0/28" not in host.ruleset()
    host.where.run("nft", "add", "chain", "inet", "zward_policy", "by_hand")
    host.load()
    assert table_handle(host) != first
    assert "by_hand" not in host.ruleset()


def test_every_mode_is_loaded_over_every_other_with_its_own_switches(host: Host) -> None:
    admin = 'admin = ["198.51.100.0/28"]\n[[gateway.publish]]\nscope = "login"\n'
    modes = {
        "host": (f'[gateway]\nmode = "host"\n{admin}', ("0", "0")),
        "bridge": (f'[gateway]\nmode = "bridge"\nbridge = "br0"\n{admin}to = ["203.0.113.25"]\n', ("0", "1")),
        "routed": (GATEWAY, ("1", "0")),
    }
    switches = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-ip6tables")
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("the module br_netfilter is not loaded (modprobe br_netfilter)")
    host.where.run("sysctl", "-qw", "net.bridge.bridge-nf-call-ip6tables=0")

    for mode in ("routed", "bridge", "host", "bridge", "routed", "host"):
        more, expected = modes[mode]
        host.configure(more)
        host.load()
        assert tuple(map(host.switch, switches)) == expected, mode
        assert "zward_policy" not in host.zward("diff", "--json").stdout, mode


def test_without_a_gateway_nothing_of_the_host_is_touched(host: Host) -> None:
    host.configure("")
    host.where.run("nft", FOREIGN)
    before = host.ruleset()

    done = host.zward("load", "--force")

    assert done.returncode == 0
    assert "no policy to load" in done.stdout
    assert host.ruleset() == before
    assert set(host.files()) == {"orders"}
    assert read_orders(host.run / "orders").mark is False
    assert host.switch("net.ipv4.ip_forward") == "0"


def test_a_gateway_taken_out_of_the_configuration_takes_its_policy_and_switches_along(host: Host) -> None:
    host.where.run("nft", FOREIGN)
    before = host.ruleset()
    host.load()
    host.configure("")

    done = host.zward("load", "--force")

    assert "removed: table inet zward_policy" in done.stdout
    assert host.ruleset() == before
    assert set(host.files()) == {"orders"}
    assert host.switch("net.ipv4.ip_forward") == host.switch("net.ipv6.conf.all.forwarding") == "0"


def test_switches_go_back_to_what_they_were_before_the_first_load(host: Host) -> None:
    host.where.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    host.load()
    host.load()

    assert host.zward("clear", "--yes").returncode == 0
    assert host.switch("net.ipv4.ip_forward") == "1"
    assert host.switch("net.ipv6.conf.all.forwarding") == "0"


def test_what_nobody_confirms_is_taken_back_to_nothing_at_all(host: Host) -> None:
    asking = begin_waiting(host, "1s")
    assert "zward_policy" in host.ruleset()

    said = outcome(asking)

    assert asking.returncode == 1
    assert "taken back, since nobody confirmed it in time" in said
    assert host.ruleset() == ""
    assert host.files() == {}
    assert host.switch("net.ipv4.ip_forward") == "0"


def test_an_earlier_policy_comes_back_as_it_was_in_the_kernel_even_if_somebody_changed_it(host: Host) -> None:
    host.load()
    host.where.run("nft", "add", "counter", "inet", "zward_policy", "by_hand", "{ packets 5 bytes 500 }")
    ruleset, counters, files = host.ruleset(), host.where.run("nft", "list", "counters"), host.files()
    host.configure(GATEWAY.replace("198.51.100.0/28", "192.0.2.128/25") + "[gateway.limits]\nlogin = 77\n")

    asking = begin_waiting(host, "1s")
    assert host.ruleset() != ruleset
    assert host.files() != files
    outcome(asking)

    assert host.ruleset() == ruleset
    assert host.where.run("nft", "list", "counters") == counters
    assert host.files() == files
    assert host.switch("net.ipv4.ip_forward") == "1"


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL])
def test_it_is_taken_back_though_the_session_that_loaded_it_is_gone(host: Host, how: signal.Signals) -> None:
    asking = begin_waiting(host, "2s")
    os.killpg(asking.pid, how)
    outcome(asking)
    assert "zward_policy" in host.ruleset()

    until(lambda: host.ruleset() == "")
    until(lambda: not waiters(host))
    assert host.files() == {}


def test_yes_keeps_it_and_no_takes_it_back_at_once(host: Host) -> None:
    kept = host.zward("load", "--force", "--confirm", "10m", given="yes\n")
    after = host.ruleset()
    back = host.zward("load", "--force", "--confirm", "10m", given="no\n")

    assert kept.returncode == 0
    assert "confirmed: the policy stays" in kept.stdout
    assert "zward_policy" in after
    assert back.returncode == 1
    assert "taken back, since it was not confirmed" in back.stderr
    assert host.ruleset() == after
    until(lambda: not waiters(host))


def test_any_other_word_is_asked_again(host: Host) -> None:
    asking = begin_waiting(host, "10m")
    assert asking.stdin
    assert asking.stdout

    asking.stdin.write("y\n")
    asking.stdin.flush()

    assert asking.stdout.readline() == "yes keeps it, no takes it back at once\n"
    asking.stdin.write("yes\n")
    asking.stdin.flush()
    assert outcome(asking) == "confirmed: the policy stays\n"


def test_a_new_connection_confirms_it(host: Host) -> None:
    asking = begin_waiting(host, "10m")

    confirmed = host.zward("confirm")

    assert (confirmed.returncode, confirmed.stdout) == (0, "confirmed: the policy stays\n")
    said = outcome(asking)
    assert (asking.returncode, said) == (0, "confirmed: the policy stays\n")
    assert "zward_policy" in host.ruleset()
    until(lambda: not waiters(host))
    again = host.zward("confirm")
    assert again.returncode == 3
    assert "no policy waits to be confirmed" in again.stderr


def test_where_nobody_can_answer_it_still_waits_for_a_new_connection(host: Host) -> None:
    done = host.zward("load", "--force", "--confirm", "10m", given="")

    assert done.returncode == 0
    assert "nobody can answer here: zward firewall confirm" in done.stdout
    assert len(waiters(host)) == 1
    assert host.zward("confirm").returncode == 0


def test_meanwhile_no_other_policy_is_loaded(host: Host) -> None:
    host.zward("load", "--force", "--confirm", "10m")
    before = host.ruleset()

    for words in (["load", "--force"], ["load", "--force", "--confirm", "60s"]):
        refused = host.zward(*words)
        assert refused.returncode == 6
        assert "waits to be confirmed: zward firewall confirm" in refused.stderr

    assert host.ruleset() == before
    assert host.zward("confirm").returncode == 0
    host.load()


def test_whoever_ends_the_waiting_process_has_the_policy_taken_back_at_once(host: Host) -> None:
    host.zward("load", "--force", "--confirm", "10m")
    (waiter,) = waiters(host)

    os.kill(waiter, signal.SIGTERM)

    until(lambda: host.ruleset() == "")
    until(lambda: not waiters(host))


def test_a_waiting_process_that_was_killed_stands_in_nobodys_way(host: Host) -> None:
    host.zward("load", "--force", "--confirm", "10m")
    (waiter,) = waiters(host)
    os.kill(waiter, signal.SIGKILL)
    until(lambda: not waiters(host))

    assert host.zward("confirm").returncode == 3
    host.load("--confirm", "10m")
    assert host.zward("confirm").returncode == 0


def test_a_rule_deleted_by_hand_shows_and_counters_do_not(host: Host) -> None:
    host.load()
    host.where.run("nft", "delete", "table", "inet", "zward_policy")
    host.where.run("nft", "-f", str(host.run / "policy.nft"))
    same = host.zward("diff", "--json")
    listing = host.where.run("nft", "-a", "list", "table", "inet", "zward_policy")
    rule = next(line for line in listing.splitlines() if " dport 22 " in line)
    chain = [line for line in listing[: listing.index(rule)].splitlines() if line.startswith("\tchain")][-1].split()[1]
    text, _, handle = rule.strip().partition(" # handle ")

    host.where.run("nft", "delete", "rule", "inet", "zward_policy", chain, "handle", handle)

    differs = host.zward("diff")
    assert "zward_policy" not in same.stdout
    assert differs.returncode == 1
    assert f"-\t\t{text}" in differs.stdout.splitlines()
    assert not [line for line in differs.stdout.splitlines() if line.startswith("+\t\t")]
    host.load()
    assert "zward_policy" not in host.zward("diff", "--json").stdout


def test_an_admin_network_that_somebody_took_out_shows(host: Host) -> None:
    host.load()
    host.where.run("nft", "flush", "set", "inet", "zward_policy", "admin4")

    differs = host.zward("diff")

    assert "-\t\telements = { 198.51.100.0/28 }" in differs.stdout.splitlines()


def test_clear_leaves_no_table_and_no_file_and_touches_nobody_elses(host: Host) -> None:
    host.where.run("nft", FOREIGN)
    before = host.ruleset()
    host.load("--confirm", "10m")
    host.where.run("nft", "add", "table", "inet", "zward")

    cleared = host.zward("clear", "--yes")

    assert cleared.returncode == 0
    assert cleared.stdout.splitlines()[:2] == ["removed: table inet zward", "removed: table inet zward_policy"]
    assert "set back: net.ipv4.ip_forward = 0" in cleared.stdout
    assert host.ruleset() == before
    assert list(host.run.iterdir()) == []
    until(lambda: not waiters(host))
    assert host.zward("clear", "--yes").stdout == "there was nothing of ours\n"


def test_as_json_each_says_what_it_did(host: Host) -> None:
    loaded = json.loads(host.zward("load", "--force", "--json", "--confirm", "10m").stdout)
    confirmed = host.zward("confirm", "--json").stdout
    cleared = json.loads(host.zward("clear", "--yes", "--json").stdout)

    assert (loaded["mode"], loaded["removed_policy"], loaded["warnings"]) == ("routed", False, [])
    assert loaded["switches"] == {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
    assert loaded["directory"] == str(host.run)
    assert confirmed == '{"confirmed": true}\n'
    assert cleared["tables"] == ["zward_policy"]
    assert cleared["switches"] == {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"}


def test_clear_asks_first_and_where_nobody_can_be_asked_it_refuses(host: Host) -> None:
    host.load()

    refused = host.zward("clear")

    assert refused.returncode == 6
    assert "--yes" in refused.stderr
    assert "zward_policy" in host.ruleset()


def test_an_invalid_configuration_loads_nothing(host: Host) -> None:
    host.configure("[gateway]\nmode = 1\n")

    assert host.zward("load", "--force").returncode == 5
    assert host.ruleset() == ""


# A boot


def boot(host: Host) -> None:
    """Nothing of what was loaded is there any more, but for what lies on the disk."""
    host.where.run("nft", "flush", "ruleset")
    for path in host.run.iterdir():
        path.unlink()
    host.where.run("sysctl", "-w", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")


@pytest.mark.parametrize("fault", ["mode = ", "[from_another_version]\nkey = 1\n", "mode = 7\n"])
def test_a_boot_with_a_faulty_configuration_loads_what_was_loaded_last_and_says_so(host: Host, fault: str) -> None:
    host.load("--last-good", str(host.directory / "kept"))
    rules, files = host.ruleset(), host.files()
    boot(host)
    host.config.write_text(fault)

    done = host.zward("load", "--last-good", str(host.directory / "kept"))

    assert done.returncode == 0, done.stderr
    assert host.ruleset() == rules
    assert host.files() == files
    assert host.switch("net.ipv4.ip_forward") == "1"
    assert done.stderr.startswith(f"THE CONFIGURATION IS NOT IN FORCE:\n{host.config}:")
    assert "is in force instead" in done.stderr
    assert "loaded: table inet zward_policy, mode routed" in done.stdout
    again = json.loads(host.zward("load", "--json", "--last-good", str(host.directory / "kept")).stdout)
    assert again["last_good"]


def test_by_hand_a_faulty_configuration_is_refused_as_ever(host: Host) -> None:
    host.load("--last-good", str(host.directory / "kept"))
    rules = host.ruleset()
    host.config.write_text("mode = ")

    assert host.zward("load").returncode == 5
    assert host.ruleset() == rules


def test_where_nothing_was_ever_loaded_both_reasons_are_told(host: Host) -> None:
    host.config.write_text("mode = ")

    done = host.zward("load", "--last-good", str(host.directory / "kept"))

    assert done.returncode == 5
    assert "not TOML" in done.stderr
    assert f"nothing was ever loaded that is kept in {host.directory}/kept" in done.stderr
    assert host.ruleset() == ""


def test_a_configuration_that_others_can_write_is_not_loaded_and_what_was_loaded_last_is(host: Host) -> None:
    host.load("--last-good", str(host.directory / "kept"))
    rules = host.ruleset()
    boot(host)
    host.configure("")
    host.config.chmod(0o666)

    done = host.zward("load", "--last-good", str(host.directory / "kept"))

    assert done.returncode == 0
    assert "others than root can write to it" in done.stderr
    assert host.ruleset() == rules


def test_what_nobody_confirmed_is_not_what_a_boot_loads(host: Host) -> None:
    kept = str(host.directory / "kept")
    host.load("--last-good", kept)
    rules = host.ruleset()
    host.configure(GATEWAY.replace("198.51.100.0/28", "198.51.100.0/24"))
    asking = host.start("load", "--force", "--confirm", "60s", "--last-good", kept)
    assert asking.stdout
    while "is taken back in" not in (line := asking.stdout.readline()):
        assert line
    assert host.ruleset() != rules
    assert asking.stdin
    asking.stdin.write("no\n")
    asking.stdin.flush()
    assert "taken back" in outcome(asking)
    boot(host)
    host.config.write_text("mode = ")

    assert host.zward("load", "--last-good", kept).returncode == 0
    assert host.ruleset() == rules


def test_a_place_that_cannot_be_written_is_warned_of_and_the_policy_is_in_force(host: Host) -> None:
    (host.directory / "kept").write_text("a file stands there")

    done = host.zward("load", "--force", "--last-good", str(host.directory / "kept"))

    assert done.returncode == 0
    assert "warning: it is not kept for a boot at which the configuration has faults" in done.stderr
    assert "table inet zward_policy" in host.ruleset()
