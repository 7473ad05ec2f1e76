from collections.abc import Iterator

import nftables
import pytest
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall import nft
from appliance.firewall.backend import Element, LibnftablesMissing, NotPermitted
from appliance.firewall.nft import Nft, NftError, kernel_of

FIRST, SECOND, THIRD = (Net(bytes([203, 0, 113, last]), 32) for last in (1, 2, 3))
OLD_KERNEL, NEW_KERNEL = "6.1.0-18-amd64", "6.12.0"


def test_a_missing_library_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "LIBRARY", "libnothing.so.1")
    with pytest.raises(LibnftablesMissing, match="apt-get install libnftables1"):
        Nft()


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.1.0-18-amd64", (6, 1)),
        ("6.12", (6, 12)),
        ("6.18.44-fc-v669", (6, 18)),
        ("7.0-rc1", (7, 0)),
        ("odd", (0, 0)),
        ("6", (0, 0)),
        ("6.x", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_the_kernel_version_is_read_from_its_release(release: str, version: tuple[int, int]) -> None:
    assert kernel_of(release) == version


def test_a_missing_privilege_says_what_cures_it() -> None:
    fault = nft._fault(b"Error: Could not process rule: Operation not permitted\nadd table\n^^^\n")
    assert isinstance(fault, NotPermitted)
    assert "CAP_NET_ADMIN" in str(fault)


def test_each_fault_is_told_with_its_column() -> None:
    one = b"Error: Could not process rule: No such file or directory\ndelete a; delete b\n"
    fault = nft._fault(one + b"       ^\n" + one + b"                 ^^^\n")
    assert isinstance(fault, NftError)
    assert (fault.reason, fault.columns) == ("No such file or directory", (7, 17))


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """This thread is inside, so that libnftables speaks to this namespace's tables."""
    require_kernel()
    with network() as made:
        inside = made.namespace("nft")
        with inside.entered():
            yield inside


@pytest.fixture(params=[OLD_KERNEL, NEW_KERNEL])
def table(request: pytest.FixtureRequest, namespace: Namespace) -> Nft:
    """Both ways to change a timeout: what kernels before 6.12 need works on every kernel."""
    made = Nft(request.param)
    made.load()
    return made


def standing(table: Nft) -> dict[Net, int]:
    return {net: seconds for listed in table.banned() for net, seconds in listed}


@pytest.mark.kernel
def test_a_new_time_holds_be_it_longer_or_shorter(table: Nft) -> None:
    for seconds, least in ((600, 500), (86_400, 80_000), (60, 0)):
        table.ban([Element(FIRST, seconds), Element(SECOND, seconds)])
        found = standing(table)
        assert found.keys() == {FIRST, SECOND}
        assert all(least < left <= seconds for left in found.values())


@pytest.mark.kernel
def test_loading_again_keeps_elements_counters_and_other_tables(table: Nft, namespace: Namespace) -> None:
    namespace.run("nft", "add table inet other { set ban4 { type ipv4_addr; elements = { 192.0.2.1 } ; } ; }")
    other = namespace.run("nft", "list", "table", "inet", "other")
    table.ban([Element(FIRST, 600)])
    table.allow([SECOND])
    rules = namespace.run("nft", "--stateless", "--terse", "list", "table", "inet", "zward")
    Nft().load()
    assert standing(table).keys() == {FIRST}
    assert namespace.run("nft", "--stateless", "--terse", "list", "table", "inet", "zward") == rules
    assert str(SECOND) in namespace.run("nft", "list", "set", "inet", "zward", "allow4")
    assert namespace.run("nft", "list", "table", "inet", "other") == other


@pytest.mark.kernel
def test_a_batch_that_does_not_fit_leaves_nothing_and_names_the_element(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nft.ruleset, "SET_SIZE", 2)
    table = Nft(NEW_KERNEL)
    table.load()
    with pytest.raises(NftError, match="the set is full") as caught:
        table.ban([Element(net, 600) for net in (FIRST, SECOND, THIRD)])
    assert caught.value.net == THIRD
    assert standing(table) == {}


@pytest.mark.kernel
def test_a_table_that_somebody_removed_is_an_error_in_words_until_it_is_loaded(
    table: Nft, namespace: Namespace
) -> None:
    namespace.run("nft", "delete", "table", "inet", "zward")
    with pytest.raises(NftError, match="somebody removed it"):
        table.ban([Element(FIRST, 600)])
    with pytest.raises(NftError, match="somebody removed it"):
        standing(table)
    with pytest.raises(NftError, match="somebody removed it"):
        table.unban([FIRST])
    table.load()
    table.ban([Element(FIRST, 600)])
    assert standing(table).keys() == {FIRST}


@pytest.mark.kernel
def test_a_ban_made_by_hand_without_an_end_is_listed_and_lifted(table: Nft, namespace: Namespace) -> None:
    namespace.run("nft", 'add element inet zward ban4 { 203.0.113.1 comment "by hand, twice" }')
    assert standing(table) == {FIRST: nft.listing.FOREVER}
    assert table.unban([FIRST]) == [FIRST]


@pytest.mark.kernel
def test_every_missing_element_of_a_large_unban_is_named_by_the_kernel(table: Nft) -> None:
    asked = [Net(bytes([198, 51, high, low]), 32) for high in (100, 101) for low in range(250)]
    table.ban([Element(net, 600) for net in asked[::7]])
    assert table.unban(asked) == asked[::7]
    assert table.unban(asked) == []


@pytest.mark.kernel
def test_libnftables_of_this_machine_understands_networks_of_every_width(table: Nft) -> None:
    nets = [parse_network(text) for text in ("198.51.100.0/24", "2001:db8::1", "2001:db8:1::/64", "2001:db8:2::/48")]
    table.ban([Element(net, 600) for net in nets])
    assert standing(table).keys() == set(nets)
    assert sorted(table.unban(nets)) == sorted(nets)
    assert isinstance(table._nft, nftables.Nftables)
