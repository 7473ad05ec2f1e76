from story import address, nets

from appliance.judge.attempts import Attempt
from appliance.judge.sources import Sources, Succeeded
from appliance.model import Outcome, Protocol


def attempt():
    return Attempt(1.0, Protocol.IMAP, Outcome.BAD_PASSWORD, None, 1, 1)


def test_source_close_to_a_ban_outlasts_a_flood_of_new_ones():
    sources = Sources(most=10)
    sources.attempts(b"near").append(attempt())
    sources.mark(b"near", close=True)
    for number in range(1000):
        sources.attempts(number.to_bytes(4, "big"))

    assert len(sources.known(b"near")) == 1
    assert (len(sources), sources.evicted, sources.evicted_close) == (10, 991, 0)


def test_where_all_are_close_the_least_recently_heard_goes_and_that_is_counted():
    sources = Sources(most=2)
    for name in (b"a", b"b", b"c"):
        sources.attempts(name).append(attempt())
        sources.mark(name, close=True)

    assert sources.known(b"a") == []
    assert sources.evicted_close == 1


def test_source_no_longer_close_is_quiet_again():
    sources = Sources(most=1)
    sources.attempts(b"a")
    sources.mark(b"a", close=True)
    sources.mark(b"a", close=False)
    sources.attempts(b"b")

    assert (sources.evicted, sources.evicted_close) == (1, 0)


def test_network_is_forgiven_with_every_source_inside():
    sources = Sources()
    for text in ("203.0.113.9", "203.0.113.77", "198.51.100.1"):
        sources.attempts(address(text).packed).append(attempt())

    sources.forgive(next(iter(nets("203.0.113.0/24").networks)))

    left = {text: sources.known(address(text).packed)[0].points for text in ("203.0.113.9", "198.51.100.1")}
    assert left == {"203.0.113.9": 0, "198.51.100.1": 1}


def test_single_ipv6_address_is_forgiven_with_its_64():
    sources = Sources()
    sources.attempts(address("2001:db8::").packed).append(attempt())

    sources.forgive(address("2001:db8::5"))

    assert sources.known(address("2001:db8::").packed)[0].points == 0


def test_source_that_logged_in_longest_ago_is_forgotten_first():
    succeeded = Succeeded(most=2)
    for name in (b"a", b"b", b"a", b"c"):
        succeeded.add(name)

    assert b"a" in succeeded
    assert b"b" not in succeeded
    assert succeeded.evicted == 1
