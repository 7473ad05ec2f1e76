from story import address, nets

from appliance.address import source_of
from appliance.judge.neighbours import HOSTS, MAIL_KEPT, Mailers, Neighbours

AROUND = next(iter(nets("203.0.113.0/24").networks))
AROUND6 = next(iter(nets("2001:db8:1::/48").networks))


def banned(*texts, at=0.0):
    neighbours = Neighbours()
    for text in texts:
        neighbours.note(source_of(address(text)), at)
    return neighbours


def test_hosts_of_a_24_are_told_apart_and_those_of_others_are_not_among_them():
    neighbours = banned("203.0.113.1", "203.0.113.2", "203.0.113.2", "203.0.112.3")

    assert [len(neighbours.hosts(AROUND, 60, now)) for now in (0.0, 59.0, 60.0)] == [2, 2, 0]


def test_64s_of_a_48_are_its_hosts():
    neighbours = banned("2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1", "2001:db8:2::1")

    assert len(neighbours.hosts(AROUND6, 60, 0.0)) == 2


def test_host_that_somebody_vouches_for_is_taken_out():
    neighbours = banned("203.0.113.1", "203.0.113.2")

    neighbours.forget(address("203.0.113.1"))

    assert neighbours.hosts(AROUND, 60, 0.0) == [address("203.0.113.2").packed]
    neighbours.forget(AROUND)
    assert neighbours.hosts(AROUND, 60, 0.0) == []


def test_hosts_told_apart_are_bounded():
    neighbours = banned(*(f"203.0.113.{number}" for number in range(200)))

    assert len(neighbours.hosts(AROUND, 60, 0.0)) == HOSTS


def test_accepted_mail_speaks_for_its_source_and_the_network_around_it_for_a_week():
    mailers = Mailers()
    mailers.accepted(address("203.0.113.1"), 0.0)

    assert mailers.knows(address("203.0.113.1"), MAIL_KEPT - 1)
    assert mailers.knows(AROUND, MAIL_KEPT - 1)
    assert not mailers.knows(AROUND, MAIL_KEPT)
    assert not mailers.knows(address("203.0.113.2"), 0.0)


def test_mailers_heard_of_longest_ago_give_way_and_are_counted():
    mailers = Mailers(most=4)
    for number in range(3):
        mailers.accepted(address(f"198.18.{number}.1"), float(number))

    assert len(mailers) == 4
    assert mailers.evicted == 2
    assert not mailers.knows(address("198.18.0.1"), 3.0)
    assert mailers.knows(address("198.18.2.1"), 3.0)
