"""nginx.access.log: the address before all client text, and whether credentials were sent."""

from datetime import UTC

import pytest

from appliance.config.rule_files import SAMPLE_TRUST
from appliance.model import Message, Protocol
from appliance.read.decode.access import decode
from appliance.read.decode.reading import Decoded, Reading

WHEN = "[06/May/2024:10:20:30 +0200]"
DAV = '"PROPFIND https://mail.example.com/dav/ HTTP/1.1" 401 329 "-" "x"'


def decoded(text: str) -> Decoded:
    return decode(Message(16, 6, None, "proxy1", "zimbra-nginx-access", None, text.encode()), SAMPLE_TRUST, UTC)


def only(text: str) -> Reading:
    (reading,) = decoded(text).readings
    return reading


def test_a_line_falls_into_its_parts():
    reading = only(f"203.0.113.9:51234 - ana@example.com {WHEN}  {DAV}")

    assert (reading.text, reading.account, reading.protocol) == (b"401 + PROPFIND", b"ana@example.com", Protocol.DAV)
    assert reading.time == 1714983630.0
    assert reading.origin is not None
    assert str(reading.origin.source) == "203.0.113.9"


def test_a_request_without_credentials_has_no_account():
    reading = only(f"203.0.113.9:51234 - - {WHEN}  {DAV}")

    assert (reading.text, reading.account) == (b"401 - PROPFIND", None)


@pytest.mark.parametrize(
    "user", ["a b", "[203.0.113.66]", f"x {WHEN}", "203.0.113.66:1 - x", "- -", "x] [y", r"\x22", "é", f"- {WHEN}  x"]
)
def test_a_user_may_hold_blanks_and_brackets(user):
    reading = only(f"203.0.113.9:51234 - {user} {WHEN}  {DAV}")

    assert reading.account == user.encode()
    assert reading.origin is not None
    assert str(reading.origin.source) == "203.0.113.9"


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("2001:db8:bad::235:8080", "2001:db8:bad::235"),
        ("[2001:db8:bad::235]:8080", "2001:db8:bad::235"),
        ("::ffff:203.0.113.9:1", "203.0.113.9"),
        ("192.0.2.5:1", "None"),
    ],
)
def test_the_address_ends_at_the_last_colon(address, source):
    reading = only(f"{address} - ana {WHEN}  {DAV}")

    assert reading.origin is not None
    assert str(reading.origin.source) == source


@pytest.mark.parametrize(
    ("target", "protocol"),
    [
        ("https://mail.example.com/dav/ana/", Protocol.DAV),
        ("https://mail.example.com/principals/users/ana", Protocol.DAV),
        ("https://mail.example.com/.well-known/carddav", Protocol.DAV),
        ("https://mail.example.com/Microsoft-Server-ActiveSync?Cmd=Sync", Protocol.EAS),
        ("https://mail.example.com/EWS/Exchange.asmx", Protocol.EWS),
        ("https://mail.example.com/service/soap/AuthRequest", Protocol.SOAP),
        ("https://mail.example.com/service/admin/soap/", Protocol.ADMIN),
        ("https://mail.example.com/home/ana/?x=/dav/", Protocol.HTTP),
        ("/dav/", Protocol.DAV),
        ("*", Protocol.HTTP),
    ],
)
def test_the_path_tells_the_protocol(target, protocol):
    assert only(f'203.0.113.9:1 - ana {WHEN}  "GET {target} HTTP/1.1" 401 3 ').protocol is protocol


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "203.0.113.9 - - [06/May/2024]",
            f"mail.example.com:1 - ana {WHEN}  {DAV}",
            f"203.0.113.9:1 - ana  {DAV}",
        ),
        *(f'203.0.113.9:1 - ana {WHEN}  "\\x16\\x03" 400 3 "-"', f"203.0.113.9:1 - {'u' * 1025} {WHEN}  {DAV}"),
    ],
)
def test_another_line_is_unreadable(text):
    assert decoded(text).readings == ()
