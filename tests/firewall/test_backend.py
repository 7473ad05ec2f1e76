"""The contract that every backend keeps, run against each of them."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from helping import helper
from namespaces import network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall.backend import DROPS, Backend, BackendError, Dropped, Element, Health, Place
from appliance.firewall.client import HelperBackend
from appliance.firewall.limits import LONGEST_BAN, MAX_ALLOWED
from appliance.firewall.observe import ObserveBackend
from appliance.model import BAN_SCOPES, Scope

OWN = "192.0.2.254"


@dataclass(frozen=True, slots=True)
class Rig:
    """A backend, and how to let time go by for it."""

    backend: Backend
    until_gone: Callable[[Net], Awaitable[None]]


@pytest_asyncio.fixture(params=["observe", pytest.param("helper", marks=pytest.mark.kernel)])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "observe":
        now = [1000.0]
        observe = ObserveBackend(lambda: now[0], own=[net(OWN)])

        async def advance(gone: Net) -> None:
            now[0] += 1

        yield Rig(observe, advance)
        return
    require_kernel()
    with network() as made:
        namespace = made.namespace("contract")
        namespace.ip("address", "add", OWN, "dev", "lo")
        with helper(namespace, tmp_path) as running:
            backend = HelperBackend(running.socket)
            await backend.open()

            async def wait(gone: Net) -> None:
                while Place(gone) in await backend.banned():
                    await asyncio.sleep(0.02)

            yield Rig(backend, wait)
            await backend.close()


@pytest_asyncio.fixture
async def backend(rig: Rig) -> Backend:
    return rig.backend


def net(text: str) -> Net:
    return parse_network(text)


def for_an_hour(*texts: str, scope: Scope = Scope.ALL) -> list[Element]:
    return [Element(net(text), 3600, scope) for text in texts]


async def nets(backend: Backend) -> list[Net]:
    """Who is banned, in whichever scopes."""
    return sorted({net for net, _ in await backend.banned()})


async def left(backend: Backend, text: str) -> float:
    return (await backend.banned())[Place(net(text))]


EVERY_WIDTH = ("203.0.113.9", "198.51.100.0/24", "2001:db8:1::9", "2001:db8:2:3::/64", "2001:db8:4::/48")


@pytest.mark.asyncio
async def test_nothing_is_banned_at_first(backend: Backend) -> None:
    assert await backend.banned() == {}


@pytest.mark.asyncio
async def test_a_ban_of_every_width_stands_with_its_remaining_seconds(backend: Backend) -> None:
    assert await backend.ban(for_an_hour(*EVERY_WIDTH)) == []
    standing = await backend.banned()
    assert set(standing) == {Place(net(text)) for text in EVERY_WIDTH}
    assert all(0 < seconds <= 3600 and seconds == math.floor(seconds) for seconds in standing.values())


@pytest.mark.asyncio
@pytest.mark.parametrize("text", EVERY_WIDTH)
async def test_a_second_ban_lengthens_and_shortens(backend: Backend, text: str) -> None:
    await backend.ban([Element(net(text), 600)])
    await backend.ban([Element(net(text), 86_400)])
    assert await left(backend, text) > 600
    await backend.ban([Element(net(text), 60)])
    assert await left(backend, text) <= 60


@pytest.mark.asyncio
async def test_the_last_of_two_bans_in_one_batch_holds(backend: Backend) -> None:
    await backend.ban([Element(net("203.0.113.9"), 86_400), Element(net("203.0.113.9"), 60)])
    assert await left(backend, "203.0.113.9") <= 60


@pytest.mark.asyncio
async def test_a_ban_ends_by_itself_and_can_be_made_again(rig: Rig) -> None:
    await rig.backend.ban([Element(net("203.0.113.9"), 1), *for_an_hour("203.0.113.10")])
    await rig.until_gone(net("203.0.113.9"))
    assert await nets(rig.backend) == sorted({net("203.0.113.10")})
    assert await rig.backend.unban([net("203.0.113.9")]) == []
    await rig.backend.ban(for_an_hour("203.0.113.9"))
    assert Place(net("203.0.113.9")) in await rig.backend.banned()


@pytest.mark.asyncio
async def test_unban_lifts_every_ban_that_covers_the_address(backend: Backend) -> None:
    v4 = ("203.0.113.9", "203.0.113.0/24")
    v6 = ("2001:db8:4:5::9", "2001:db8:4:5::/64", "2001:db8:4::/48")
    others = ("203.0.113.10", "198.51.100.0/24", "2001:db8:4:6::/64")
    await backend.ban(for_an_hour(*v4, *v6, *others))
    lifted = await backend.unban([net(v4[0]), net(v6[0])])
    assert sorted(lifted) == sorted(map(net, (*v4, *v6)))
    assert await nets(backend) == sorted(set(map(net, others)))


@pytest.mark.asyncio
async def test_unban_of_a_network_leaves_the_hosts_inside_it_banned(backend: Backend) -> None:
    await backend.ban(for_an_hour("203.0.113.9", "203.0.113.0/24"))
    assert await backend.unban([net("203.0.113.0/24")]) == [net("203.0.113.0/24")]
    assert await nets(backend) == sorted({net("203.0.113.9")})


@pytest.mark.asyncio
async def test_unban_of_what_is_not_banned_lifts_nothing(backend: Backend) -> None:
    await backend.ban(for_an_hour("203.0.113.9"))
    assert await backend.unban([net("203.0.113.10"), net("2001:db8::1"), net("10.0.0.0/8")]) == []
    assert await backend.unban([]) == []
    assert len(await backend.banned()) == 1


@pytest.mark.asyncio
async def test_a_large_unban_returns_exactly_what_stood(backend: Backend) -> None:
    asked = [Net(bytes([198, 51, 100, last]), 32) for last in range(200)]
    standing = asked[::3]
    await backend.ban([Element(each, 600) for each in standing])
    assert sorted(await backend.unban(asked)) == standing
    assert await backend.banned() == {}


REFUSED = (
    ("10.0.0.0/8", 60, "only /32"),
    ("203.0.113.0/25", 60, "only /32"),
    ("2001:db8::/32", 60, "only /32"),
    ("203.0.113.9", 0, "lasts"),
    ("203.0.113.9", -1, "lasts"),
    ("203.0.113.9", LONGEST_BAN + 1, "lasts"),
    ("203.0.113.9", 10**12, "lasts"),
    ("127.0.0.1", 60, "loopback"),
    ("127.9.9.0/24", 60, "loopback"),
    ("0.0.0.0", 60, "loopback"),
    ("169.254.1.1", 60, "link-local"),
    ("224.0.0.251", 60, "multicast"),
    ("255.255.255.255", 60, "reserved"),
    ("::1", 60, "loopback"),
    ("::", 60, "loopback"),
    ("::/48", 60, "loopback"),
    ("fe80::1", 60, "link-local"),
    ("ff02::1", 60, "multicast"),
    (OWN, 60, "this host"),
    ("192.0.2.0/24", 60, "this host"),
)


@pytest.mark.asyncio
@pytest.mark.parametrize(("text", "seconds", "words"), REFUSED)
async def test_what_may_not_be_banned_is_refused_and_the_rest_goes_in(
    backend: Backend, text: str, seconds: int, words: str
) -> None:
    good = for_an_hour("198.51.100.7", "2001:db8:7::/64")
    refused = await backend.ban([good[0], Element(net(text), seconds), good[1]])
    assert [each.net for each in refused] == [net(text)]
    assert words in refused[0].reason
    assert await nets(backend) == sorted({each.net for each in good})


@pytest.mark.asyncio
async def test_bits_beyond_the_prefix_are_refused(backend: Backend) -> None:
    crooked = Net(bytes([198, 51, 100, 7]), 24)
    assert [each.net for each in await backend.ban([Element(crooked, 60)])] == [crooked]
    assert await backend.banned() == {}


@pytest.mark.asyncio
async def test_whoever_is_allowed_is_refused_and_so_is_a_network_around_him(backend: Backend) -> None:
    await backend.allow([net("198.51.100.9"), net("203.0.113.0/24"), net("2001:db8:9::/56")])
    asked = ("198.51.100.9", "198.51.100.0/24", "203.0.113.77", "2001:db8:9:1::/64", "2001:db8:9::/48")
    refused = await backend.ban(for_an_hour(*asked, "198.51.100.10"))
    assert [each.net for each in refused] == list(map(net, asked))
    assert {each.reason for each in refused} == {"it overlaps the allow list"}
    assert await nets(backend) == sorted({net("198.51.100.10")})


@pytest.mark.asyncio
async def test_a_new_allow_list_replaces_the_old_one(backend: Backend) -> None:
    await backend.allow([net("198.51.100.0/25"), net("198.51.100.64/26"), net("2001:db8::/32")])
    await backend.allow([net("203.0.113.0/24")])
    assert await backend.ban(for_an_hour("198.51.100.9", "2001:db8:7::/64")) == []
    await backend.allow([])
    assert await backend.ban(for_an_hour("203.0.113.9")) == []


@pytest.mark.asyncio
async def test_an_allow_list_without_bound_is_not_taken(backend: Backend) -> None:
    await backend.allow([net("198.51.100.9")])
    many = [Net(number.to_bytes(4, "big"), 32) for number in range(MAX_ALLOWED + 1)]
    with pytest.raises(BackendError, match="limit is 4096"):
        await backend.allow(many)
    assert len(await backend.ban(for_an_hour("198.51.100.9"))) == 1


@pytest.mark.asyncio
async def test_a_batch_of_20000_goes_in_and_comes_out_again(backend: Backend) -> None:
    batch = [Element(Net((0x0B000000 + number).to_bytes(4, "big"), 32), 3600) for number in range(15_000)]
    batch += [
        Element(Net(bytes.fromhex("20010db8") + number.to_bytes(4, "big") + bytes(8), 64), 3600)
        for number in range(5_000)
    ]
    assert await backend.ban(batch) == []
    assert (await backend.banned()).keys() == {Place(element.net) for element in batch}


@pytest.mark.asyncio
async def test_an_empty_batch_changes_nothing(backend: Backend) -> None:
    assert await backend.ban([]) == []
    assert await backend.banned() == {}


@pytest.mark.asyncio
async def test_every_port_has_its_count_of_dropped_packets_by_scope_and_family(backend: Backend) -> None:
    assert await backend.dropped() == dict.fromkeys(DROPS, Dropped(0, 0))


@pytest.mark.asyncio
async def test_a_network_may_stand_in_every_scope_with_a_time_of_its_own(backend: Backend) -> None:
    for seconds, scope in zip((60, 600, 3600), BAN_SCOPES, strict=True):
        await backend.ban([Element(net("203.0.113.9"), seconds, scope), Element(net("2001:db8:2:3::/64"), 60, scope)])
    standing = await backend.banned()
    assert len(standing) == 6
    found = [standing[Place(net("203.0.113.9"), scope)] for scope in BAN_SCOPES]
    assert found[0] <= 60 < found[1] <= 600 < found[2]


@pytest.mark.asyncio
async def test_unban_lifts_every_scope_and_names_a_network_once(backend: Backend) -> None:
    for scope in BAN_SCOPES:
        await backend.ban(for_an_hour("203.0.113.9", "198.51.100.0/24", scope=scope))
    assert await backend.unban([net("203.0.113.9")]) == [net("203.0.113.9")]
    assert await nets(backend) == [net("198.51.100.0/24")]


@pytest.mark.asyncio
@pytest.mark.parametrize("scope", [Scope.LOGIN, Scope.SMTP_IN])
async def test_a_single_ipv6_address_cannot_be_banned_in_a_narrow_scope(backend: Backend, scope: Scope) -> None:
    [refused] = await backend.ban(for_an_hour("2001:db8:1::9", "2001:db8:2:3::/64", scope=scope))
    assert refused.net == net("2001:db8:1::9")
    assert set(await backend.banned()) == {Place(net("2001:db8:2:3::/64"), scope)}


@pytest.mark.asyncio
async def test_nobody_was_seen_favour_may_be_given_and_nothing_is_ill_at_first(backend: Backend) -> None:
    await backend.favour(for_an_hour("203.0.113.9", "2001:db8:2:3::/64"))
    await backend.fence((), 600)
    assert await backend.seen([net("203.0.113.9"), net("2001:db8:2:3::/64")]) == set()
    assert await backend.health() == Health()
    assert await backend.samples() == []


@pytest.mark.asyncio
async def test_opening_again_keeps_every_ban_and_the_allow_list(backend: Backend) -> None:
    await backend.allow([net("198.51.100.9")])
    await backend.ban(for_an_hour(*EVERY_WIDTH[:1]))
    await backend.open()
    assert await nets(backend) == sorted({net(EVERY_WIDTH[0])})
    assert len(await backend.ban(for_an_hour("198.51.100.9"))) == 1
