"""This host's sockets, asked of the real kernel over loopback; destroying is tried in tests/kernel/test_sessions.py."""

import socket
import struct
from collections.abc import Iterator

import pytest

from appliance.address import NetSet, parse_network
from appliance.firewall.sessions.conntrack import Ends
from appliance.firewall.sessions.local_sockets import FEW, LocalSockets, read

SOCKET6 = struct.pack("=BBBB", socket.AF_INET6, 1, 0, 0) + struct.pack(
    "!HH16s16s", 993, 40_000, bytes(10) + b"\xff\xff\xc0\x00\x02\x19", bytes(10) + b"\xff\xff\xcb\x00\x71\x09"
)


@pytest.fixture(params=["127.0.0.1", "::1", "dual"])
def talk(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Client and server end of a connection over loopback."""
    if request.param == "dual":
        listening = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        target = "127.0.0.1"
    else:
        family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
        listening, target = socket.create_server((request.param, 0), family=family), request.param
    made = socket.create_connection((target, listening.getsockname()[1]))
    with listening, made as client, listening.accept()[0] as server:
        yield client, server


def inward(client: socket.socket) -> Ends:
    source, target = client.getsockname(), client.getpeername()
    return Ends(parse_network(source[0]).packed, source[1], parse_network(target[0]).packed, target[1])


@pytest.mark.parametrize("crowd", [0, FEW])
def test_a_connection_is_found_by_its_peer(talk: tuple[socket.socket, socket.socket], crowd: int) -> None:
    client, _ = talk
    expected = inward(client)
    others = [parse_network(f"198.51.100.{number}") for number in range(crowd)]
    with LocalSockets() as sockets:
        found = sockets.of(NetSet([parse_network("127.0.0.0/8"), parse_network("::1"), *others]))
        assert [one.inward for one in found if one.inward == expected] == [expected]
        assert {str(one.peer) for one in sockets.of(NetSet([parse_network("192.0.2.0/24"), *others]))} == set()


def test_a_listening_socket_is_nobodys_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, LocalSockets() as sockets:
        found = sockets.of(NetSet([parse_network("0.0.0.0/0"), parse_network("127.0.0.0/8")]))
        assert listening.getsockname()[1] not in {one.port for one in found}


def test_a_mapped_address_is_an_ipv4_address() -> None:
    found = read(SOCKET6 + bytes(40))
    assert found is not None
    assert found.inward == Ends(bytes([203, 0, 113, 9]), 40_000, bytes([192, 0, 2, 25]), 993)
    assert (found.port, str(found.peer)) == (993, "203.0.113.9")


def test_an_answer_that_is_too_short_is_no_socket() -> None:
    assert read(SOCKET6) is None
    assert read(b"") is None
