import pytest

from appliance.address import parse_network
from appliance.firewall.listing import FOREVER, counters_of, elements_of, seconds

EMPTY = b"table inet zward {\n\tset ban4 {\n\t\ttype ipv4_addr\n\t\tsize 1048576\n\t\tflags timeout\n\t}\n}\n"


def listed(name: str, elements: str) -> bytes:
    return (
        f"table inet zward {{\n\tset {name} {{\n\t\ttype ipv4_addr\n\t\tflags timeout\n"
        f"\t\telements = {{ {elements} }}\n\t}}\n}}\n"
    ).encode()


def test_a_set_without_elements_has_none() -> None:
    assert elements_of("ban4", EMPTY) == []


def test_elements_come_with_their_remaining_seconds() -> None:
    text = listed("ban4", "192.0.2.1 timeout 60s expires 59s,\n\t\t\t     203.0.113.9 timeout 7200s expires 7196s")
    assert elements_of("ban4", text) == [
        (parse_network("192.0.2.1"), 59),
        (parse_network("203.0.113.9"), 7196),
    ]


@pytest.mark.parametrize(
    ("name", "address", "net"),
    [
        ("ban4n", "198.51.100.0", "198.51.100.0/24"),
        ("ban6", "2001:db8::9", "2001:db8::9"),
        ("ban6n", "2001:db8:2:3::", "2001:db8:2:3::/64"),
        ("ban6n48", "2001:db8:4::", "2001:db8:4::/48"),
    ],
)
def test_the_set_tells_the_prefix_length(name: str, address: str, net: str) -> None:
    assert elements_of(name, listed(name, f"{address} timeout 60s expires 59s")) == [(parse_network(net), 59)]


def test_an_element_made_by_hand_without_a_timeout_lasts_forever() -> None:
    assert elements_of("ban4", listed("ban4", "192.0.2.1")) == [(parse_network("192.0.2.1"), FOREVER)]


def test_a_comment_made_by_hand_does_no_harm() -> None:
    text = listed("ban4", '192.0.2.1 timeout 60s expires 59s comment "a, b", 192.0.2.2 timeout 60s expires 1s')
    assert elements_of("ban4", text) == [(parse_network("192.0.2.1"), 59), (parse_network("192.0.2.2"), 1)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", 0),
        ("7199s", 7199),
        ("1m", 60),
        ("250ms", 0),
        ("1h59m59s250ms", 7199),
        ("44d23h59m59s999ms", 3_887_999),
    ],
)
def test_durations_are_whole_seconds(text: str, value: int) -> None:
    assert seconds(text.encode()) == value


@pytest.mark.parametrize("text", ["never", "s", "5", "5x", "1h-2m", "5sm"])
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text.encode())


def test_counters_of_other_tables_are_not_ours() -> None:
    counter = "\tcounter dropped_25 {{\n\t\tpackets {} bytes 60\n\t}}\n"
    ours = "table inet zward {\n" + counter.format(7) + "\n\tcounter dropped_443 {\n\t\tpackets 9 bytes 1\n\t}\n}\n"
    other = "table inet other {\n" + counter.format(1) + "}\n"
    for text in (ours + other, other + ours, other + ours + other):
        assert counters_of(text.encode()) == {25: 7, 443: 9}
    assert counters_of(other.encode()) == {}
