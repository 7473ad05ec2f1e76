"""A boot: the stored bans are in the kernel before the daemon is up. And what `clear` says while a helper lives."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helping import Helper, helper
from namespaces import network, require_kernel
from oldstores import NARROW, REMAINING, VERSIONS, old_store
from running import COMMAND

from appliance.address import parse_network
from appliance.config.load import load
from appliance.firewall.backend import Element
from appliance.firewall.client import HelperBackend
from appliance.firewall.orders import write as write_orders
from appliance.model import Ban, Scope
from appliance.root.rulesets import orders_of
from appliance.store.store import Store

pytestmark = pytest.mark.kernel

HOUR = 3600.0


@pytest.fixture
def helped(tmp_path: Path) -> Iterator[Helper]:
    """A helper that serves us, with the orders of the configuration beside it."""
    require_kernel()
    config = tmp_path / "zward.toml"
    config.write_text(
        f'[firewall]\ndirectory = "{tmp_path}"\n[store]\npath = "{tmp_path}/zward.db"\n'
        '[allow]\nnetworks = ["192.0.2.7"]\n'
    )
    with network() as net:
        where = net.namespace("gateway")
        with where.entered():
            orders = orders_of(load(config))
        with helper(where, tmp_path, orders, receiver=os.getuid()) as running:
            yield running


def zward(running: Helper, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*running.where.prefix, COMMAND, "firewall", *words, "--config", str(running.directory / "zward.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def store(running: Helper, *bans: Ban, lifted: str = "") -> None:
    async def write() -> None:
        opened = await Store.open(running.directory / "zward.db", time.time())
        await opened.add_bans(bans)
        if lifted:
            await opened.lift([parse_network(lifted)], time.time(), "ada", "")
        await opened.close()

    asyncio.run(write())


def ban(net: str, seconds: float, scope: Scope = Scope.ALL) -> Ban:
    now = time.time()
    return Ban(parse_network(net), now - HOUR, now + seconds, "guessing", "6 of 6 points in 30 min", scope=scope)


def in_set(running: Helper, name: str) -> str:
    return running.where.run("nft", "list", "set", "inet", "zward", name)


def test_bans_in_force_come_back_each_where_it_stood_and_the_others_do_not(helped: Helper) -> None:
    standing = [ban("203.0.113.9", HOUR), ban("2001:db8:bad:1::/64", HOUR), ban("203.0.113.10", HOUR, Scope.SMTP_IN)]
    store(helped, *standing, ban("203.0.113.11", -1), ban("203.0.113.12", HOUR), lifted="203.0.113.12")

    done = zward(helped, "restore")

    assert (done.returncode, done.stdout) == (0, "bans in force: 3\n")
    assert "203.0.113.9 timeout" in in_set(helped, "ban4")
    assert "203.0.113.1" not in in_set(helped, "ban4").replace("203.0.113.9", "")
    assert "2001:db8:bad:1::" in in_set(helped, "ban6n")
    assert "203.0.113.10" in in_set(helped, "ban4_smtp_in")


@pytest.mark.parametrize("version", VERSIONS)
def test_after_an_upgrade_bans_of_an_older_store_have_as_long_left_as_they_had(helped: Helper, version: int) -> None:
    old_store(helped.directory / "zward.db", version, time.time())

    began = time.monotonic()
    done = zward(helped, "restore")
    listed = asyncio.run(listing(helped))
    took = time.monotonic() - began + 2  # the kernel's own rounding

    assert done.returncode == 0, done.stderr
    narrow = {(NARROW, Scope.SMTP_IN)} if version > 1 else set()
    assert set(listed) == {(net, Scope.ALL) for net in REMAINING} | narrow
    for net, seconds in REMAINING.items():
        assert seconds - took <= listed[net, Scope.ALL] <= seconds + 1


async def listing(running: Helper) -> dict[tuple[str, Scope], float]:
    """What the kernel bans, and for how long."""
    backend = HelperBackend(running.directory / "helper.sock")
    await backend.open()
    try:
        found = await backend.banned()
    finally:
        await backend.close()
    return {(str(place.net), place.scope): seconds for place, seconds in found.items()}


@pytest.mark.parametrize("fault", ["mode = ", "[from_another_version]\nkey = 1\n"])
def test_at_a_boot_with_a_faulty_configuration_the_bans_are_restored_all_the_same(helped: Helper, fault: str) -> None:
    store(helped, ban("203.0.113.9", HOUR))
    config = helped.directory / "zward.toml"
    config.write_text(config.read_text() + fault)

    refused = zward(helped, "restore")
    done = zward(helped, "restore", "--despite-faults")

    assert refused.returncode == 5
    assert (done.returncode, done.stdout) == (0, "bans in force: 1\n")
    assert "the bans of its store are restored all the same" in done.stderr
    assert "203.0.113.9 timeout" in in_set(helped, "ban4")


def test_whom_root_has_allowed_since_is_named_and_not_banned(helped: Helper) -> None:
    store(helped, ban("192.0.2.7", HOUR), ban("203.0.113.9", HOUR))

    done = zward(helped, "restore")

    assert (done.returncode, done.stdout) == (0, "bans in force: 1\n")
    assert done.stderr.startswith("192.0.2.7 was not banned again: ")
    assert "192.0.2.7" not in in_set(helped, "ban4")


def test_while_a_helper_lives_clear_names_it_and_removes_nothing(helped: Helper) -> None:
    store(helped, ban("203.0.113.9", HOUR))
    zward(helped, "restore")

    refused = zward(helped, "clear", "--yes")

    assert refused.returncode == 1
    assert f"the firewall helper (pid {helped.pid})" in refused.stderr
    assert "Nothing was removed" in refused.stderr
    assert "203.0.113.9" in in_set(helped, "ban4")
    assert helped.orders.exists()


@pytest.mark.parametrize("scope", [Scope.ALL, Scope.LOGIN])
def test_what_the_helper_made_is_what_the_configuration_asks_for(helped: Helper, scope: Scope) -> None:
    store(helped, ban("203.0.113.9", HOUR), ban("2001:db8:bad:1::/64", HOUR, scope))
    zward(helped, "restore")

    same = zward(helped, "diff")

    assert (same.returncode, same.stdout) == (0, "the kernel has what the configuration asks for\n"), same.stdout


@pytest.mark.parametrize("fenced", [False, True])
def test_what_the_helper_made_of_a_fence_and_sshds_ports_is_what_the_configuration_asks_for(
    helped: Helper, fenced: bool
) -> None:
    config = helped.directory / "zward.toml"
    more = '[sshd]\nenabled = true\nports = "22,2222"\n[detect.siege.fence]\nenabled = true\n'
    config.write_text(config.read_text() + more)
    with helped.where.entered():
        write_orders(helped.orders, orders_of(load(config)))
    asyncio.run(opened(helped, fenced=fenced))

    same = zward(helped, "diff")

    assert (same.returncode, same.stdout) == (0, "the kernel has what the configuration asks for\n"), same.stdout
    assert ("587" in in_set(helped, "fence")) is fenced


async def opened(running: Helper, *, fenced: bool) -> None:
    """Have the helper take up its orders, and perhaps fence."""
    backend = HelperBackend(running.socket)
    await backend.open()
    if fenced:
        await backend.favour([Element(parse_network("203.0.113.9"), 60)])
        await backend.fence((587, 993), 600)
    await backend.close()


def test_a_table_that_another_socket_owns_is_not_cleared_either(helped: Helper) -> None:
    store(helped, ban("203.0.113.9", HOUR))
    zward(helped, "restore")
    helped.kill()  # its socket is still open here, as it is with a supervisor or in systemd's store
    owned = "owner" in helped.where.run("nft", "list", "table", "inet", "zward")

    cleared = zward(helped, "clear", "--yes")

    assert cleared.returncode == (1 if owned else 0)
    assert ("a table that a running helper owns" in cleared.stderr) is owned
    assert ("Nothing was removed" in cleared.stderr) is owned
