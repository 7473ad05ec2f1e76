"""What the kernel can do is found out by trying; a kernel that cannot is played by a socket that refuses."""

import errno
import os
import socket
from collections.abc import Iterator, Sequence

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.firewall.table import features
from appliance.firewall.table.features import Features, probed
from appliance.firewall.table.netlink import CREATE, NFTABLES, Message, Netlink, NetlinkError, attribute, be32, text

pytestmark = pytest.mark.kernel

NEWTABLE, NEWSETELEM, DESTROYTABLE = 0, 12, 26


class Older(Netlink):
    """The kernel as it was: refuses what came later, and takes a new time for an old element without heeding it."""

    lacks: Features

    def transact(self, subsystem: int, messages: Sequence[Message], *, every: bool = False) -> list[tuple[int, int]]:
        for index, message in enumerate(messages):
            if message.kind == NEWTABLE and attribute(2, be32(6)) in message.body and not self.lacks.persist:
                raise NetlinkError(errno.EOPNOTSUPP, index)
            if message.kind == DESTROYTABLE and not self.lacks.destroy:
                raise NetlinkError(errno.EINVAL, index)
        if messages[0].kind == NEWSETELEM and not self.lacks.updates:
            if hasattr(self, "added"):
                return []
            self.added = True
        return super().transact(subsystem, messages, every=every)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made, made.namespace("features").entered():
        yield made.namespaces[0]


def test_what_this_kernel_can_do_is_what_its_version_says_and_nothing_is_left_behind(namespace: Namespace) -> None:
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert probed() == Features(persist=version >= (6, 9), destroy=version >= (6, 3), updates=version >= (6, 12))
    assert namespace.run("nft", "list", "ruleset") == ""


@pytest.mark.parametrize(
    "lacks",
    [
        Features(False, True, True),
        Features(True, False, True),
        Features(True, True, False),
        Features(False, False, False),
    ],
    ids=str,
)
def test_an_older_kernel_is_recognised(namespace: Namespace, monkeypatch: pytest.MonkeyPatch, lacks: Features) -> None:
    here = probed()
    monkeypatch.setattr(features, "Netlink", Older)
    monkeypatch.setattr(Older, "lacks", lacks, raising=False)
    assert probed() == Features(*map(min, lacks, here))
    assert namespace.run("nft", "list", "ruleset") == ""


def test_a_table_that_a_killed_probe_left_does_not_disturb(namespace: Namespace) -> None:
    namespace.run("nft", "add table inet zward_probe; add set inet zward_probe probe { type ipv6_addr; }")
    assert probed() == probed()
    assert namespace.run("nft", "list", "ruleset") == ""


def test_without_the_capability_it_is_an_error(namespace: Namespace) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(NetlinkError, match="not permitted"):
            probed()
    finally:
        os.seteuid(0)


def test_probing_leaves_no_socket_open(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Netlink] = []

    class Kept(Netlink):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(features, "Netlink", Kept)
    probed()
    [kept] = made
    assert kept.socket.fileno() == -1


def test_the_probes_table_is_not_the_bans(namespace: Namespace) -> None:
    netlink = Netlink()
    netlink.transact(NFTABLES, [Message(NEWTABLE, CREATE, 1, text(1, "zward"))])
    probed()
    assert namespace.run("nft", "list", "tables") == "table inet zward\n"
    netlink.close()
    assert isinstance(netlink.socket, socket.socket)
