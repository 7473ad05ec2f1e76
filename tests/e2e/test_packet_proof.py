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


def entrance(site: str, source: str) -> str:
    return SITES[site][1][6 if ":" in source else 4]


def connects_and_hears(world: World, site: str, source: str) -> None:
    """A whole handshake, and the greeting of the mail host."""
    with world.attacker.new_socket(source) as client:
        client.settimeout(10)
        client.bind((source, 0))
        client.connect((entrance(site, source), 25))
        assert client.recv(3) == b"220"


def key(source: str) -> str:
    """What is banned of a source."""
    return source.replace("::66", "::")


def blame(mailhost: MailHost, *sources: str) -> None:
    for _ in range(TRIES):
        for source in sources:
            mailhost.mailbox_unknown(source, "nobody@example.com")


def all_are_read(zward: Zward, lines: int) -> None:
    wait_until("all lines are read", lambda: zward.metric("zward_events_total", evidence="weak") >= lines)


@pytest.mark.parametrize("family", [4, 6])
def test_weak_lines_ban_who_was_here_and_nobody_who_never_was(
    world: World, mailhost: MailHost, zward: Zward, site: str, family: int
) -> None:
    present, absent = world.new_attacker(family), world.new_attacker(family)
    connects_and_hears(world, site, present)
    blame(mailhost, absent, present)
    wait_until(f"{present} is banned", lambda: key(present) in zward.in_kernel(BAN_SET[family]))
    all_are_read(zward, 2 * TRIES)
    wait_until("both are asked for", lambda: zward.metric("zward_proofs_total", answer="unseen") >= 1)
    assert zward.in_kernel(BAN_SET[family]) == {key(present)}

    told = zward.told("why", present)
    assert told["banned"]["detector"] == "guessing"
    assert "the address is proved: it completed a connection here" in told["banned"]["reason"]
    doubtful = zward.told("why", absent)
    assert (doubtful["banned"], doubtful["never_banned"]) == (None, None)
    assert sum(count["number"] for count in doubtful["counts"]) == TRIES, "what is said of it is kept all the same"


def test_who_comes_later_is_banned_by_his_next_line(
    world: World, mailhost: MailHost, zward: Zward, site: str
) -> None:
    attacker = world.new_attacker()
    blame(mailhost, attacker)
    all_are_read(zward, TRIES)
    wait_until("it is asked for", lambda: zward.metric("zward_proofs_total", answer="unseen") >= 1)
    assert zward.in_kernel("ban4") == set()

    connects_and_hears(world, site, attacker)

    def is_banned() -> bool:
        mailhost.mailbox_unknown(attacker, "nobody@example.com")
        return attacker in zward.in_kernel("ban4")

    wait_until(f"{attacker} is banned", is_banned)


def test_a_port_that_says_nothing_proves_nobody(world: World, mailhost: MailHost, zward: Zward, site: str) -> None:
    """The kernel shook hands, and no server sent a byte: as an attacker could have done it in another's name."""
    attacker = world.new_attacker()
    assert world.attacker.connects(attacker, entrance(site, attacker), 443)
    blame(mailhost, attacker)
    all_are_read(zward, TRIES)
    wait_until("it is asked for", lambda: zward.metric("zward_proofs_total", answer="unseen") >= 1)
    assert zward.in_kernel("ban4") == set()
    assert zward.told("why", attacker)["banned"] is None
