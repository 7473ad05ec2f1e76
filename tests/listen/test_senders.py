"""Who may send, and what is kept about them."""

import pytest

from appliance.address import NetSet, parse_network
from appliance.listen import senders as module
from appliance.listen.senders import Senders


def allowing(*networks: str) -> Senders:
    return Senders(NetSet(parse_network(network) for network in networks))


@pytest.mark.parametrize(
    ("peer", "sender"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8:0:0::9", "2001:db8::9"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.3.9", None),
        ("::192.0.2.9", None),
        ("nobody", None),
    ],
)
def test_a_peer_in_a_listed_network_is_admitted_under_its_usual_name(peer: str, sender: str | None) -> None:
    senders = allowing("192.0.2.0/24", "2001:db8::/32", "fe80::/64")
    assert [senders.admitted(peer), senders.admitted(peer)] == [sender, sender]


def test_a_reload_takes_effect_with_the_next_question() -> None:
    senders = allowing("192.0.2.0/24")
    assert senders.admitted("192.0.2.9") == "192.0.2.9"
    senders.networks = NetSet()
    assert senders.admitted("192.0.2.9") is None


def test_facts_add_up() -> None:
    senders = allowing("0.0.0.0/0")
    senders.heard("192.0.2.9", 10.0, 3, 300)
    senders.heard("192.0.2.9", 11.0, 1, 50)
    fact = senders.facts()["192.0.2.9"]
    assert (fact.frames, fact.octets, fact.last_seen) == (4, 350, 11.0)


def test_the_sender_heard_of_least_recently_is_forgotten_first_but_none_that_is_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SENDER_LIMIT", 3)
    senders = allowing("0.0.0.0/0")
    senders.heard("192.0.2.1", 1.0).connections += 1
    for last in (2, 3, 2, 4):
        senders.heard(f"192.0.2.{last}", float(last))
    assert set(senders.facts()) == {"192.0.2.1", "192.0.2.2", "192.0.2.4"}
    assert senders.forgotten == 1


def test_answers_about_forged_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_LIMIT", 10)
    senders = allowing("192.0.2.0/24")
    for n in range(1000):
        senders.admitted(f"198.51.100.{n % 256}")
    assert len(senders._answers) <= 10


def test_listed_hosts_without_a_connection_are_awaited_by_the_others() -> None:
    senders = allowing("192.0.2.1", "192.0.2.2", "198.51.100.0/24")
    assert senders.awaited("198.51.100.7") == 2
    assert senders.awaited("192.0.2.1") == 0
    senders.heard("192.0.2.1", 1.0).connections += 1
    assert senders.awaited("192.0.2.1") == 1
    senders.left("192.0.2.1")
    assert senders.awaited("192.0.2.1") == 0
