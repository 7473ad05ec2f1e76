"""The policy of a gateway, loaded by a real `zward run`: what is open, for whom, and how it changes under traffic."""

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from e2e.mailhost import MailHost
from e2e.wire import CLIENT, GATEWAY, MAIL, PORTS, World, wait_until
from e2e.zward import ADMIN_CONNECTION, EVERYTHING, PUBLIC, Zward, published

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

OPEN_TO_ALL = set(PORTS) - {7071}
UNPUBLISHED = (22, 389, 8080)
"""Somebody listens there on the mail host."""
REFUSED = 6
CONFIG_INVALID = 5
BOTH = {"table inet zward", "table inet zward_policy"}
FOREIGN = "table inet somebodys {\nchain arrives {\ntype filter hook input priority 0\n}\n}"


@pytest.fixture(scope="module")
def site(world: World, mailhost: MailHost) -> Iterator[World]:
    """More servers, on the mail host and on the gateway itself."""
    with contextlib.ExitStack() as stack:
        for listener in (*world.mail.listen(UNPUBLISHED), *world.gateway.listen([22, 8080])):
            stack.enter_context(listener)
        yield world


@pytest.fixture
def zward(site: World, place: Path) -> Iterator[Zward]:
    with Zward(site.gateway, place, more=EVERYTHING) as started:
        yield started


def ban(zward: Zward, address: str) -> None:
    done = zward.command("ban", address, "--for", "10m", "--reason", "by hand")
    assert done.returncode == 0, done.stderr
    wait_until(f"{address} is banned", lambda: address in zward.in_kernel("ban4"))


def policy(zward: Zward) -> str:
    """The policy in force, as nft lists it."""
    return zward.host.run("nft", "--stateless", "list", "table", "inet", "zward_policy").stdout


def switches(zward: Zward) -> dict[str, str]:
    """Every kernel parameter below net; what counts by itself is left out."""
    listed = zward.host.run("sysctl", "-a", "-r", "^net[.]").stdout.splitlines()
    found = dict(line.split(" = ", 1) for line in listed if " = " in line)
    return {key: value for key, value in found.items() if not key.endswith(("_count", "unix.max_dgram_qlen"))}


def test_published_ports_are_open_and_every_other_is_closed(site: World, zward: Zward) -> None:
    for family in (4, 6):
        stranger = site.new_attacker(family)
        assert site.attacker.open_ports(stranger, PUBLIC[family]) == OPEN_TO_ALL
        assert site.client.open_ports(CLIENT[family], PUBLIC[family]) == set(PORTS)
        for who, source in ((site.attacker, stranger), (site.client, CLIENT[family])):
            assert not any(who.connects(source, PUBLIC[family], port, 0.2) for port in (389, 8080))
        assert not site.attacker.connects(stranger, GATEWAY[family], 22, 0.2)
        assert site.client.connects(CLIENT[family], GATEWAY[family], 22)
        assert not site.client.connects(CLIENT[family], GATEWAY[family], 8080, 0.2)

        # Past address translation no more is open to a neighbour than is published.
        assert site.attacker.open_ports(stranger, MAIL[family], 0.3) <= OPEN_TO_ALL
        assert not any(site.attacker.connects(stranger, MAIL[family], port, 0.2) for port in UNPUBLISHED)


def test_the_mail_host_sees_the_clients_own_address_and_a_guesser_is_banned_by_it(
    site: World, mailhost: MailHost, zward: Zward
) -> None:
    log = mailhost.log("everything.log")
    for family in (4, 6):
        stranger = site.new_attacker(family)
        with site.attacker.new_socket(stranger) as client:
            client.settimeout(10)
            client.bind((stranger, 0))
            client.connect((PUBLIC[family], 25))
            assert client.recv(3) == b"220"
        logged = f"connect from unknown[{stranger}]"
        wait_until("Postfix has logged it", lambda words=logged: words in log.read_text())

    guesser = site.new_attacker()
    for port in (25, 465, 587) * 2:
        mailhost.guess(guesser, port, to=PUBLIC[4])
    wait_until(f"{guesser} is banned", lambda: zward.in_kernel("ban4") == {guesser})
    assert site.attacker.open_ports(guesser, PUBLIC[4], 0.2) == set()
    assert site.client.open_ports(CLIENT[4], PUBLIC[4]) == set(PORTS)


def test_what_is_shown_is_what_the_kernel_has(site: World, zward: Zward) -> None:
    ban(zward, site.new_attacker())
    shown = zward.command("firewall", "show")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert set(re.findall(r"^(table .*) \{$", shown.stdout, re.MULTILINE)) == BOTH
    same = zward.command("firewall", "diff")
    assert (same.returncode, same.stdout) == (0, "the kernel has what the configuration asks for\n"), same.stdout

    zward.configure(published("smtp-in", "login", "web"))
    differs = zward.command("firewall", "diff", "--json")
    assert differs.returncode == 1
    assert list(json.loads(differs.stdout)) == ["zward_policy"]
    assert zward.command("firewall", "load").returncode == 0
    assert zward.command("firewall", "diff").returncode == 0


def test_stopping_leaves_policy_and_bans_and_clear_removes_them(site: World, zward: Zward) -> None:
    stranger, banned = site.new_attacker(), site.new_attacker()
    ban(zward, banned)
    before = policy(zward)
    refused = zward.command("firewall", "clear", "--yes")
    assert refused.returncode == 1
    assert f"zward run (pid {zward.daemon.pid})" in refused.stderr

    zward.stop()
    assert zward.tables() == BOTH
    assert policy(zward) == before
    assert zward.in_kernel("ban4") == {banned}
    assert site.attacker.open_ports(banned, PUBLIC[4], 0.2) == set()
    assert site.attacker.open_ports(stranger, PUBLIC[4]) == OPEN_TO_ALL

    cleared = zward.command("firewall", "clear", "--yes")
    assert cleared.returncode == 0, cleared.stderr
    assert zward.tables() == set()
    assert not (zward.firewall / "orders").exists()
    zward.start()
    assert zward.tables() == BOTH
    wait_until("the ban is back", lambda: zward.in_kernel("ban4") == {banned})


def test_a_changed_policy_is_taken_up_in_one_step_under_traffic(site: World, mailhost: MailHost, zward: Zward) -> None:
    stranger, banned = site.new_attacker(), site.new_attacker()
    many = [site.new_attacker() for _ in range(12)]  # each may make 300 connections a minute
    ban(zward, banned)
    with site.attacker.new_socket(stranger) as smtp, _knocking(site, many, 443) as knocks:
        smtp.settimeout(10)
        smtp.bind((stranger, 0))
        smtp.connect((PUBLIC[4], 587))
        assert smtp.recv(100).startswith(b"220")
        for scopes in (("web", "login"), ("web", "smtp-in"), ("web", "smtp-in", "login", "admin")):
            zward.configure(published(*scopes))
            zward.reloaded()
            smtp.sendall(b"NOOP\r\n")
            assert smtp.recv(100).startswith(b"250")
            assert site.attacker.connects(stranger, PUBLIC[4], 25, 0.3) is ("smtp-in" in scopes)
            assert site.attacker.connects(stranger, PUBLIC[4], 993, 0.3) is ("login" in scopes)
            assert not site.attacker.connects(banned, PUBLIC[4], 443, 0.2)
    assert len(knocks) > 100
    assert all(knocks), f"{knocks.count(False)} of {len(knocks)} connections were lost"


@contextlib.contextmanager
def _knocking(site: World, sources: Sequence[str], port: int) -> Iterator[list[bool]]:
    """Meanwhile a thread opens one connection after the other; whether each opened at its first SYN."""
    answers: list[bool] = []
    over = threading.Event()

    def knock() -> None:
        for source in itertools.cycle(sources):
            if over.wait(0.002):
                return
            answers.append(site.attacker.connects(source, PUBLIC[4], port, 0.9))

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(5)


def test_without_the_table_the_policy_goes_and_the_bans_stay(site: World, zward: Zward) -> None:
    stranger, banned = site.new_attacker(), site.new_attacker()
    ban(zward, banned)
    zward.configure()
    zward.reloaded()
    assert zward.tables() == {"table inet zward"}
    assert site.attacker.connects(stranger, MAIL[4], 8080)
    assert site.attacker.open_ports(stranger, MAIL[4]) == set(PORTS)
    assert site.attacker.open_ports(banned, MAIL[4], 0.2) == set()
    assert zward.in_kernel("ban4") == {banned}

    zward.configure(EVERYTHING)
    zward.reloaded()
    assert zward.tables() == BOTH
    assert not site.attacker.connects(stranger, MAIL[4], 8080, 0.2)


def test_without_a_gateway_nothing_of_the_host_changes_but_the_table_of_bans(site: World, place: Path) -> None:
    made = Zward(site.gateway, place)
    assert site.gateway.run("nft", FOREIGN).returncode == 0
    try:
        before = switches(made)
        assert before["net.ipv4.ip_forward"] == "1"
        with made:
            ban(made, site.new_attacker())
            assert made.tables() == {"table inet somebodys", "table inet zward"}
            assert switches(made) == before
            made.stop()
            assert switches(made) == before
    finally:
        site.gateway.run("nft", "delete", "table", "inet", "somebodys")


def test_forwarding_begins_with_the_policy_and_ends_with_clear(site: World, place: Path) -> None:
    site.gateway.configure("ipv4/ip_forward", 0)
    try:
        with Zward(site.gateway, place, more=EVERYTHING) as zward:
            assert switches(zward)["net.ipv4.ip_forward"] == "1"
            assert site.attacker.connects(site.new_attacker(), PUBLIC[4], 443)
            zward.stop()
            assert switches(zward)["net.ipv4.ip_forward"] == "1"
            assert zward.command("firewall", "clear", "--yes").returncode == 0
            assert switches(zward)["net.ipv4.ip_forward"] == "0"
    finally:
        site.gateway.configure("ipv4/ip_forward", 1)


FAULTS = (
    ('[gateway]\nmode = "ruoted"\n', "gateway.mode"),
    (published("web") + "[gatewey]\n", "gatewey"),
    ("[gateway\n", "zward.toml"),
    (published("web").replace(MAIL[6], "192.0.2.11"), "gateway.publish"),
)
"""Ends of a configuration, and what is said of them."""


def test_a_configuration_with_a_fault_changes_nothing(site: World, zward: Zward) -> None:
    banned, before = site.new_attacker(), policy(zward)
    ban(zward, banned)
    for number, (fault, says) in enumerate(FAULTS, 1):
        zward.configure(fault)
        zward.hang_up()
        wait_until("it is told", lambda n=number: zward.metric("zward_config_reloads_total", result="failure") == n)
        said = zward.said.read_text()
        assert says in said.rpartition("not reloaded, the old configuration stays in force")[2]
        assert policy(zward) == before
    asked = zward.command("reload")
    assert asked.returncode == CONFIG_INVALID
    assert FAULTS[-1][1] in asked.stderr
    assert zward.in_kernel("ban4") == {banned}
    assert site.attacker.open_ports(site.new_attacker(), PUBLIC[4]) == OPEN_TO_ALL


LOCKING_OUT = EVERYTHING.replace(f'admin = ["{CLIENT[4]}", ', 'admin = ["203.0.113.77", ')


def test_a_policy_that_would_cut_the_operator_off_is_not_loaded(site: World, place: Path) -> None:
    assert LOCKING_OUT != EVERYTHING
    zward = Zward(site.gateway, place, more=LOCKING_OUT)
    refused = zward.runs_out()
    assert refused.returncode == REFUSED, refused.stderr
    assert f"you are connected from {CLIENT[4]} to port 22" in refused.stderr
    assert "--force" in refused.stderr
    assert zward.tables() == set()

    elsewhere = zward.runs_out(ssh=ADMIN_CONNECTION.replace(" 22", " 2222"))
    assert elsewhere.returncode == REFUSED
    assert "to port 2222" in elsewhere.stderr


def test_force_loads_it_all_the_same(site: World, place: Path) -> None:
    zward = Zward(site.gateway, place, more=LOCKING_OUT)
    zward.start("--force")
    try:
        assert zward.tables() == BOTH
        assert not site.client.connects(CLIENT[4], GATEWAY[4], 22, 0.2)
    finally:
        zward.__exit__()


def test_a_reload_that_would_cut_the_operator_off_keeps_the_old_policy(site: World, zward: Zward) -> None:
    before = policy(zward)
    zward.configure(LOCKING_OUT)
    zward.hang_up()
    wait_until("it is told", lambda: "this policy would lock you out" in zward.said.read_text())
    assert policy(zward) == before
    assert site.client.connects(CLIENT[4], GATEWAY[4], 22)


def test_a_policy_that_nobody_confirms_is_taken_back(site: World, place: Path) -> None:
    stranger = site.new_attacker()
    zward = Zward(site.gateway, place, more=EVERYTHING)
    zward.start("--confirm", "3s")
    try:
        wait_until("it is taken back", lambda: zward.tables() == {"table inet zward"})
        assert zward.get("/readyz")[0] == 200
        assert site.attacker.connects(stranger, MAIL[4], 8080)
        assert zward.command("firewall", "confirm").returncode == 3
        ban(zward, stranger)
        assert not site.attacker.connects(stranger, MAIL[4], 443, 0.2)
    finally:
        zward.__exit__()


def test_a_policy_that_is_confirmed_stays(site: World, place: Path) -> None:
    zward = Zward(site.gateway, place, more=EVERYTHING)
    zward.start("--confirm", "60s")
    try:
        loaded = policy(zward)
        confirmed = zward.command("firewall", "confirm")
        assert (confirmed.returncode, confirmed.stdout) == (0, "confirmed: the policy stays\n"), confirmed.stderr
        wait_until("whoever waited is gone", lambda: not (zward.firewall / "confirm.sock").exists())
        assert policy(zward) == loaded != ""
    finally:
        zward.__exit__()
