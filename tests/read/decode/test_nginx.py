"""nginx.log of the proxy: the client between a raw message and a raw login."""

from datetime import UTC

import pytest

from appliance.config.rule_files import SAMPLE_TRUST
from appliance.model import Message, Protocol
from appliance.read.decode.nginx import decode
from appliance.read.decode.reading import Decoded, Reading

HEAD = "2024/05/06 10:20:43 [error] 2345#0: *6789 "
SERVER = ", server: 0.0.0.0:993"
SOCKETS = " (203.0.113.9:51230->192.0.2.5:993) <=> (192.0.2.5:40110->192.0.2.10:7993)"


def decoded(text: str) -> Decoded:
    return decode(Message(16, 3, None, "proxy1", "zimbra-nginx", None, text.encode()), SAMPLE_TRUST, UTC)


def only(text: str) -> Reading:
    (reading,) = decoded(text).readings
    return reading


def source(text: str) -> str | None:
    origin = only(text).origin
    return str(origin.source) if origin and origin.source else None


def lookup(name: str, login: str | None = None, client: str = "203.0.113.9:51234") -> str:
    error = f"zm lookup: an error: user not found:{name} while in mail zmauth state"
    return f'{HEAD}{error}, client: {client}{SERVER}, login: "{name if login is None else login}"'


def test_a_line_falls_into_its_parts():
    reading = only(f'{HEAD}client logged in, client: 203.0.113.9:51234{SERVER}, login: "ana@example.com"')

    assert (reading.level, reading.text, reading.account) == (b"error", b"client logged in", b"ana@example.com")
    assert (reading.protocol, reading.time) == (Protocol.IMAP, 1714990843.0)


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("203.0.113.9:51234", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:51234 using starttls", "203.0.113.9"),
        ("2001:db8::7:8080", "2001:db8::7"),
        ("2001:db8::7:8080 using starttls", "2001:db8::7"),
        ("2001:db8:1:2:3:4:5:6:8080", "2001:db8:1:2:3:4:5:6"),
        ("[2001:db8::7]:8080", "2001:db8::7"),
        ("::ffff:203.0.113.9:8080", "203.0.113.9"),
        ("192.0.2.5:1", None),
        ("999.0.113.9:1", None),
    ],
)
def test_the_client_is_cut_at_its_last_colon(client, address):
    assert source(f'{HEAD}client logged in, client: {client}{SERVER}, login: "ana"') == address


def test_the_sockets_at_the_end_go_before_all_text():
    line = f'{HEAD}client logged in, client: 203.0.113.66:1{SERVER}, login: "x", upstream: 192.0.2.10:7993{SOCKETS}'

    assert source(line) == "203.0.113.9"
    assert source(line.replace("(203.0.113.9:51230", "([2001:db8::7]:51230")) == "2001:db8::7"


@pytest.mark.parametrize(
    ("server", "protocol"),
    [
        ("0.0.0.0:143", Protocol.IMAP),
        ("[::]:993", Protocol.IMAP),
        ("0.0.0.0:110", Protocol.POP3),
        ("[::]:995", Protocol.POP3),
        ("0.0.0.0:25", Protocol.UNKNOWN),
        ("mail.example.com", Protocol.UNKNOWN),
    ],
)
def test_the_servers_port_tells_the_protocol(server, protocol):
    assert only(f"{HEAD}client logged in, client: 203.0.113.9:1, server: {server}").protocol is protocol


def test_a_line_about_the_web_names_the_address_alone():
    line = (
        f"{HEAD}connect() failed (111: Connection refused) while connecting to upstream, client: 203.0.113.9, "
        'server: mail.example.com.default, request: "POST /service/soap/ HTTP/1.1", '
        'upstream: "https://192.0.2.10:8443/service/soap/", host: "mail.example.com"'
    )

    assert (source(line), only(line).protocol, only(line).account) == ("203.0.113.9", Protocol.HTTP, None)


def test_a_line_without_a_client_is_read_without_one():
    reading = only(f"{HEAD}client 203.0.113.9:1 connected to 0.0.0.0:993")

    assert (reading.origin, reading.text) == (None, b"client 203.0.113.9:1 connected to 0.0.0.0:993")


@pytest.mark.parametrize("text", ["", "x", "2024/05/06 10:20:43 2345#0: x", "06/May/2024 [error] 1#0: x"])
def test_another_line_is_unreadable(text):
    assert decoded(text).readings == ()


def test_a_line_near_the_cut_has_no_source():
    room = (1900 - len(lookup(""))) // 2

    assert source(lookup("y" * room)) == "203.0.113.9"
    assert source(lookup("y" * (room + 1))) is None
    assert only(lookup("y" * (room + 1))).account == b"y" * (room + 1)
    assert (decoded(lookup("y" * 2000)[:2048]).readings[0].origin) is None


@pytest.mark.parametrize("blanks", [" " * 1900, "\r\n" * 950])
def test_blanks_at_the_end_count_for_the_cut(blanks):
    assert source(lookup("x") + blanks) is None
    assert source(lookup("x") + "\n") == "203.0.113.9"


FAKE = 'x while in mail zmauth state, client: 203.0.113.66:1, server: 0.0.0.0:993, login: "y'


@pytest.mark.parametrize(
    "name", [FAKE, FAKE + '"', f"{FAKE}{FAKE}", ", client: 203.0.113.66:1, server: x", ', login: "']
)
def test_of_several_places_the_one_whose_both_names_agree_is_real(name):
    line = lookup(name)

    assert source(line) == "203.0.113.9"
    assert only(line).account == name.encode()


def test_the_lookup_may_add_the_domain():
    assert source(lookup(f"{FAKE}@example.com", FAKE)) == "203.0.113.9"
    assert source(lookup(f"{FAKE}@example.com and more", FAKE)) is None


def test_where_no_place_agrees_nobody_is_blamed():
    line = f'{HEAD}client logged in, client: 203.0.113.9:1{SERVER}, login: "x, client: 203.0.113.66:1, server: x"'
    found = decoded(line)

    assert source(line) is None
    assert found.why == "the login text imitates the line's structure; no address on it is believed"


def test_more_places_than_the_limit_blame_nobody():
    assert source(lookup(", client: 203.0.113.66:1, server: x" * 9)) is None
