"""Each part of a real `zward run` holds what its systemd unit grants and nothing else, and that is enough."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import reachable
from e2e.mailhost import ROOT, MailHost
from e2e.wire import GATEWAY, World, wait_until
from e2e.zward import EVERYTHING, PUBLIC, Zward

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

UNITS = {"helper": "zward-firewall.service", "receiver": "zward.service"}
USERS = {"helper": "zward-firewall", "receiver": "zward"}
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}
"""Bits of linux/capability.h."""
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def granted(part: str) -> int:
    """The capabilities that the unit of this part grants, as a mask."""
    settings = dict(
        line.split("=", 1)
        for line in (ROOT / "image/systemd" / UNITS[part]).read_text().splitlines()
        if line.startswith(("CapabilityBoundingSet=", "AmbientCapabilities=", "NoNewPrivileges="))
    )
    assert settings["CapabilityBoundingSet"] == settings["AmbientCapabilities"]
    assert settings["NoNewPrivileges"] == "yes"
    return sum(1 << CAPABILITIES[name] for name in settings["AmbientCapabilities"].split())


def threads(pid: int) -> Iterator[dict[str, str]]:
    """What the kernel says of each thread of a process."""
    found = list(Path(f"/proc/{pid}/task").iterdir())
    assert found
    for thread in found:
        lines = (thread / "status").read_text().splitlines()
        yield {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def assert_holds(pid: int, capabilities: int, uid: int) -> None:
    """Every thread is this user and has this in each of its sets; no new privileges, no other group."""
    for status in threads(pid):
        assert {name: int(status[name], 16) for name in SETS} == dict.fromkeys(SETS, capabilities)
        assert status["Uid"].split() == status["Gid"].split() == [str(uid)] * 4
        assert status["Groups"] == ""
        assert status["NoNewPrivs"] == "1"


@pytest.fixture
def zward(world: World, mailhost: MailHost, place: Path) -> Iterator[Zward]:
    with Zward(world.gateway, place, more=EVERYTHING) as started:
        yield started


def test_each_part_holds_exactly_what_its_unit_grants(zward: Zward) -> None:
    """The receiver's port is above 1023: it does without the one capability that its unit allows it."""
    assert granted("helper") == 1 << 12 | 1 << 13
    assert_holds(zward.part("helper"), granted("helper"), reachable.users()["zward-firewall"])
    assert granted("receiver") == 1 << 10
    assert_holds(zward.part("receiver"), 0, reachable.users()["zward"])
    assert len(zward.children()) == 2
    assert "RUNS AS ROOT" not in zward.said.read_text()


def test_a_port_below_1024_costs_the_receiver_one_capability(world: World, mailhost: MailHost, place: Path) -> None:
    with Zward(world.gateway, place, port=514) as zward:
        assert_holds(zward.part("receiver"), granted("receiver"), reachable.users()["zward"])
        assert_holds(zward.part("helper"), granted("helper"), reachable.users()["zward-firewall"])
        assert f"udp {GATEWAY[4]}:514" in zward.told("status")["listening"]


def test_without_users_of_its_own_the_receiver_is_nobody_and_the_helper_root_without_roots_powers(
    world: World, mailhost: MailHost, place: Path
) -> None:
    with Zward(world.gateway, place, has_users=False) as zward:
        assert_holds(zward.part("helper"), granted("helper"), 0)
        assert_holds(zward.part("receiver"), 0, 61514)


def test_the_receiver_can_change_no_firewall_and_nothing_of_roots(zward: Zward) -> None:
    for words in (("list", "ruleset"), ("flush", "ruleset"), ("add", "table", "inet", "mine")):
        refused = zward.host.run(*zward.as_receiver(), "nft", *words)
        assert "Operation not permitted" in refused.stderr
    for path in (zward.firewall / "orders", zward.firewall / "policy.nft", zward.config):
        assert zward.host.run(*zward.as_receiver(), "sh", "-c", f"echo >>{path}").returncode != 0
    assert "Permission denied" in zward.host.run(*zward.as_receiver(), "touch", zward.firewall / "new").stderr


def test_everything_works_for_parts_that_are_no_root(world: World, mailhost: MailHost, zward: Zward) -> None:
    attacker, other = world.new_attacker(), world.new_attacker()
    for _ in range(6):
        mailhost.audit_failure(attacker)
    wait_until(f"{attacker} is banned", lambda: attacker in zward.in_kernel("ban4"))
    told = zward.told("why", attacker)
    assert told["banned"]["detector"] == "guessing"
    assert told["lines"]

    assert zward.command("ban", other, "--for", "10m", "--reason", "by hand").returncode == 0
    wait_until(f"{other} is banned", lambda: other in zward.in_kernel("ban4"))
    assert not world.attacker.connects(other, PUBLIC[4], 443, 0.2)
    assert zward.command("unban", other).returncode == 0
    assert world.attacker.connects(other, PUBLIC[4], 443)

    status = zward.told("status")
    assert (status["faults"], status["mode"], status["bans"]) == ([], "enforce", 1)
    assert zward.told("reload") == {"lifted": [], "needs_restart": [], "needs_load": []}
    zward.configure(EVERYTHING + f'[allow]\nnetworks = ["{attacker}"]\n')
    zward.reloaded()
    wait_until(f"{attacker} is let in", lambda: zward.in_kernel("ban4") == set())
    wait_until("drops are told", lambda: zward.metric("zward_dropped_packets_total") > 0)
    assert zward.told("drops")
