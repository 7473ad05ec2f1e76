"""Single values: what is accepted, and as what. What is refused stands in test_load."""

from pathlib import Path

import pytest

from appliance.address import parse_network
from appliance.config.values import (
    Endpoint,
    absolute_path,
    endpoint,
    host_name,
    network,
    size,
    socket_path,
    time_zone,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_is_read(text: str, found: str) -> None:
    assert str(network(text)) == found
    assert network(text) == parse_network(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:5514", Endpoint("127.0.0.1", 5514)),
        ("[::]:0", Endpoint("::", 0)),
        ("[2001:DB8:0::1]:65535", Endpoint("2001:db8::1", 65535)),
    ],
)
def test_an_endpoint_is_read(text: str, found: Endpoint) -> None:
    assert endpoint(text) == found
    assert endpoint(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", ":5514", "localhost:5514", "127.1:5514", "[::1]5514", "[fe80::1%eth0]:1", "1.2.3.4:-1", "[]:1"],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an address and a port"):
        endpoint(text)


def test_a_host_name_is_lowered_and_loses_its_last_dot() -> None:
    assert host_name("Office.Example.org.") == "office.example.org"


@pytest.mark.parametrize(
    "text", ["", ".", "-a.example", "a..example", "a_b.example", "bücher.example", "a" * 64, "a b"]
)
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a DNS name such as"):
        host_name(text)


@pytest.mark.parametrize("text", ["../../etc/passwd", "/etc/passwd", "", "Europe", "no/zone", "\0"])
def test_what_is_no_time_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an IANA name"):
        time_zone(text)


def test_a_system_without_time_zone_data_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.config.values.available_timezones", set)

    assert time_zone("UTC") == "UTC"
    with pytest.raises(ValueError, match="apt install tzdata"):
        time_zone("Europe/Rom")


@pytest.mark.parametrize(
    ("found", "count"), [("2GiB", 2 << 30), ("512MiB", 512 << 20), ("2048KiB", 2 << 20), (1 << 20, 1 << 20)]
)
def test_a_size_is_read(found: object, count: int) -> None:
    assert size("1MiB", "1024GiB").func(found) == count  # type: ignore[call-arg]


def test_a_path_begins_at_the_root() -> None:
    assert absolute_path("/var/lib/zward.db") == Path("/var/lib/zward.db")
    assert socket_path("/" + "x" * 106) == Path("/" + "x" * 106)
    for wrong in ("zward.db", "~/zward.db", "/a\nb", "/\0", ""):
        with pytest.raises(ValueError, match="a path from the root"):
            absolute_path(wrong)
