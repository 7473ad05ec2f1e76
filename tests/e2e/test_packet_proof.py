"""Lines that a client can write ban only an address from which somebody really came: the gateway saw the answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.mailhost import MailHost
from e2e.wire import MAIL, World, wait_until
from e2e.zward import EVERYTHING, PUBLIC, Zward

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

TRIES = 4
"""With a name that does not exist, two points each; six are a ban, if they count."""
BAN_SET = {4: "ban4", 6: "ban6n"}
SITES = {"policy": (EVERYTHING, PUBLIC), "bans-alone": ("", MAIL)}
"""What ends the configuration, and where the mail host is then."""


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def zward(site: str, world: World, mailhost: MailHost, place: Path) -> Iterator[Zward]:
    with Zward(world.gateway, place, more=SITES[site][0]) as started:
        yield started


def connects(world: World, site: str, source: str, port: int) -> bytes:
    """A whole handshake; the first bytes that the mail host says by itself, none where nobody speaks."""
    with world.attacker.new_socket(source) as client:
        client.settimeout(10)
        client.bind((source, 0))
        client.connect((SITES[site][1][6 if ":" in source else 4], port))
        return client.recv(3) if port == 25 else b""


def key(source: str) -> str:
    """What is banned of a source."""
    return source.replace("::66", "::")


def blame(mailhost: MailHost, *sources: str) -> None:
    for _ in range(TRIES):
        for source in sources:
            mailhost.mailbox_unknown(source, "nobody@example.com")


def unseen(zward: Zward, lines: int, sources: int) -> None:
    """All lines are read, and of so many sources the kernel has said that it never saw them."""
    wait_until("all lines are read", lambda: zward.metric("zward_events_total", evidence="weak") >= lines)
    wait_until("they are asked for", lambda: zward.metric("zward_proofs_total", answer="unseen") >= sources)


def test_weak_lines_ban_who_was_here_and_nobody_who_never_was(
    world: World, mailhost: MailHost, zward: Zward, site: str
) -> None:
    here = {family: world.new_attacker(family) for family in (4, 6)}
    never_here = {family: world.new_attacker(family) for family in (4, 6)}
    silent_port = world.new_attacker()  # as somebody could have done it in another's name
    for source in here.values():
        assert connects(world, site, source, 25) == b"220"
    connects(world, site, silent_port, 443)

    sources = [*never_here.values(), silent_port, *here.values()]
    blame(mailhost, *sources)
    for family in (4, 6):
        wait_until(f"{here[family]} is banned", lambda f=family: zward.in_kernel(BAN_SET[f]) == {key(here[f])})
    unseen(zward, TRIES * len(sources), 3)
    assert {family: zward.in_kernel(BAN_SET[family]) for family in (4, 6)} == {
        family: {key(source)} for family, source in here.items()
    }

    told = zward.told("why", here[4])
    assert told["banned"]["detector"] == "guessing"
    assert "the address is proved: it completed a connection here" in told["banned"]["reason"]
    for source in (*never_here.values(), silent_port):
        doubtful = zward.told("why", source)
        assert (doubtful["banned"], doubtful["never_banned"]) == (None, None)
        assert sum(count["number"] for count in doubtful["counts"]) == TRIES, "what is said of it is kept"


def test_who_comes_later_is_banned_by_his_next_line(world: World, mailhost: MailHost, zward: Zward, site: str) -> None:
    attacker = world.new_attacker()
    blame(mailhost, attacker)
    unseen(zward, TRIES, 1)
    assert zward.in_kernel("ban4") == set()

    assert connects(world, site, attacker, 25) == b"220"

    def is_banned() -> bool:
        mailhost.mailbox_unknown(attacker, "nobody@example.com")
        return attacker in zward.in_kernel("ban4")

    wait_until(f"{attacker} is banned", is_banned)


def test_where_the_gateway_sees_no_traffic_weak_lines_ban_nobody(world: World, mailhost: MailHost, place: Path) -> None:
    attacker = world.new_attacker()
    with Zward(world.gateway, place, more="[firewall]\nsees_traffic = false\n") as zward:
        assert connects(world, "bans-alone", attacker, 25) == b"220"
        blame(mailhost, attacker)
        wait_until("all are read", lambda: zward.metric("zward_events_total", evidence="weak") == TRIES)
        last = world.new_attacker()
        for _ in range(6):
            mailhost.audit_failure(last)
        wait_until("a strong line bans", lambda: zward.in_kernel("ban4") == {last})
        assert zward.metric("zward_proofs_total") == 0
