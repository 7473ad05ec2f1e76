import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.address import Net, parse_network
from appliance.firewall import orders
from appliance.firewall.backend import EXPOSED_PORTS, FENCEABLE
from appliance.firewall.limits import MAX_ALLOWED
from appliance.firewall.orders import Orders, OrdersError, read, write

NETS = ("192.0.2.0/24", "203.0.113.9", "0.0.0.0/0", "2001:db8::/32", "2001:db8:1::1")
NETWORKS = st.builds(
    lambda packed, prefix: Net(packed, 32).widened(prefix), st.binary(min_size=4, max_size=4), st.integers(0, 32)
)
EXTRA = st.lists(
    st.integers(1, 65_535).filter(lambda port: port not in EXPOSED_PORTS), max_size=orders.MAX_EXTRA, unique=True
)
ORDERS = st.builds(
    Orders,
    st.frozensets(NETWORKS, max_size=9),
    st.booleans(),
    st.booleans(),
    st.integers(0, 65_535),
    EXTRA.map(tuple),
    st.lists(st.sampled_from(FENCEABLE), unique=True).map(tuple),
    st.frozensets(NETWORKS, max_size=9),
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a file of root's can be made by root alone")


@as_root
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # it writes to a disk
@given(ORDERS)
def test_what_is_written_is_read(tmp_path: Path, given_: Orders) -> None:
    write(tmp_path / "orders", given_)
    assert read(tmp_path / "orders") == given_


@as_root
def test_networks_of_both_families_come_back_and_the_file_is_for_everybody_to_read(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    ordered = Orders(frozenset(map(parse_network, NETS)), mark=True, reset=True, samples=7765)
    before = os.umask(0o077)
    try:
        write(path, ordered)
    finally:
        os.umask(before)
    assert read(path) == ordered
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["orders"]


@as_root
def test_writing_replaces_a_link_and_leaves_what_it_pointed_to(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for link in ("orders", ".orders.new"):
        (tmp_path / link).symlink_to(victim)
    write(tmp_path / "orders", Orders(samples=1))
    assert victim.read_text() == "mine"
    assert read(tmp_path / "orders") == Orders(samples=1)


@as_root
def test_comments_and_empty_lines_mean_nothing_and_what_is_absent_is_off(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("# root's\n\n   \nnever-ban 192.0.2.1\n")
    assert read(tmp_path / "orders") == Orders(frozenset([parse_network("192.0.2.1")]))


@as_root
@pytest.mark.parametrize(
    "line",
    [
        b"never-ban",
        b"never-ban 192.0.2.1/24",
        b"never-ban mail.example.com",
        b"never-ban fe80::1%eth0",
        b"never-ban 192.0.2.1 # ours",
        b"never-ban \xff",
        b"mark maybe",
        b"reset",
        b"samples -1",
        b"samples 65536",
        b"samples 0000065536",
        b"samples 1e3",
        b"allow 192.0.2.1",
        b"never-ban 192.0.2.1\0",
        b"fence-from",
        b"fence-from 192.0.2.1/24",
        b"extra-ports",
        b"extra-ports ssh",
        b"extra-ports 0",
        b"extra-ports 65536",
        b"extra-ports 22 22",
        b"extra-ports 22  2222",
        b"extra-ports 22,2222",
        b"extra-ports 22 25",
        b"extra-ports 1 2 3 4 5 6 7 8 9",
        b"fence 25",
        b"fence 587 7071",
        b"fence 22",
        b"fence 587 587",
        b"fence yes",
    ],
)
def test_a_line_that_is_not_understood_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "orders").write_bytes(b"mark no\n" + line + b"\nreset no\n")
    with pytest.raises(
        OrdersError, match=r"orders:2: found .*, expected never-ban, fence-from, mark, reset, samples, "
    ):
        read(tmp_path / "orders")


@as_root
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    write(tmp_path / "orders", Orders())
    (tmp_path / "orders").chmod(mode)
    with pytest.raises(OrdersError, match="nobody else can write"):
        read(tmp_path / "orders")


@as_root
def test_a_file_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path / "orders", Orders())
    os.chown(tmp_path / "orders", 65534, -1)
    with pytest.raises(OrdersError, match="a file of root"):
        read(tmp_path / "orders")


@as_root
def test_where_nobody_is_root_the_helpers_own_user_may_have_written_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs as another user, who has CAP_NET_ADMIN."""
    write(tmp_path / "orders", Orders(mark=True))
    os.chown(tmp_path / "orders", 65534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)

    assert read(tmp_path / "orders") == Orders(mark=True)


@as_root
def test_a_link_and_a_pipe_are_not_followed_and_nobody_waits_for_them(tmp_path: Path) -> None:
    write(tmp_path / "real", Orders())
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe", 0o644)
    for name in ("link", "pipe", "missing"):
        with pytest.raises(OrdersError, match=name):
            read(tmp_path / name)


@as_root
def test_there_is_a_bound_for_bytes_and_for_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "orders", Orders(frozenset(Net(n.to_bytes(4, "big"), 32) for n in range(MAX_ALLOWED + 1))))
    with pytest.raises(OrdersError, match="4097 networks are never to be banned; the limit is 4096"):
        read(tmp_path / "orders")
    write(tmp_path / "orders", Orders(fence_from=frozenset(Net(n.to_bytes(4, "big"), 32) for n in range(4097))))
    with pytest.raises(OrdersError, match="4097 networks are let in by the fence; the limit is 4096"):
        read(tmp_path / "orders")
    monkeypatch.setattr(orders, "LARGEST", 1000)
    with pytest.raises(OrdersError, match="more than 1000 bytes"):
        read(tmp_path / "orders")
