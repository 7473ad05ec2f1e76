from hypothesis import given
from hypothesis import strategies as st
from story import address, nets

from appliance.judge.attempts import Attempt
from appliance.judge.sources import Sources, packed, unpacked
from appliance.model import Outcome, Protocol


def attempt():
    return Attempt(1.0, Protocol.IMAP, Outcome.BAD_PASSWORD, None, 1, 1)


def test_source_close_to_a_ban_outlasts_a_flood_of_new_ones():
    sources = Sources(most=10, close=4, warm=4)
    sources.attempts(b"near").append(attempt())
    sources.mark(b"near", close=True)
    for number in range(1000):
        sources.attempts(number.to_bytes(4, "big")).append(attempt())

    assert len(sources.known(b"near")) == 1
    assert len(sources) <= 10 + 4 + 4
    assert sources.evicted > 900
    assert sources.evicted_close == 0


def test_source_without_attempts_is_not_kept():
    sources = Sources(most=10, close=4, warm=1)
    for number in range(1000):
        sources.attempts(number.to_bytes(4, "big"))

    assert len(sources) == 1


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


@given(
    st.lists(
        st.builds(
            Attempt,
            st.floats(allow_nan=False, allow_infinity=False),
            st.sampled_from(Protocol),
            st.sampled_from(Outcome),
            st.one_of(st.none(), st.text(max_size=254), st.just("\ud800")),
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        max_size=20,
    )
)
def test_attempts_are_the_same_after_they_were_packed(attempts):
    assert list(unpacked(b"", packed(attempts))) == attempts
