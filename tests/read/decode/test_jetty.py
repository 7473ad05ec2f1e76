"""zmmailboxd.out: an alert behind a thread that holds the request's URL."""

from datetime import UTC

import pytest

from appliance.config.rule_files import SAMPLE_TRUST
from appliance.model import Message, Protocol
from appliance.read.decode.jetty import decode
from appliance.read.decode.reading import Decoded

HEAD = "2021-03-31 10:01:51.917:WARN:oejs.DoSFilter:"
ALERT = "DOS ALERT: Request rejected ip=203.0.113.9, session=null, user=null"


def decoded(text: str) -> Decoded:
    return decode(Message(16, 6, None, "mbox1", "zimbra-out", None, text.encode()), SAMPLE_TRUST, UTC)


def test_an_alert_is_laid_bare():
    found = decoded(f"{HEAD}qtp1-1:https://h/service/soap/: {ALERT}\n")
    (reading,) = found.readings

    assert found.is_certain
    assert (reading.logger, reading.level, reading.text) == (b"DoSFilter", b"WARN", ALERT.encode())
    assert (reading.protocol, reading.time) == (Protocol.HTTP, 1617184911.0)


@pytest.mark.parametrize("port", [7071, 9071])
def test_an_alert_at_the_admin_port_is_the_consoles(port):
    (reading,) = decoded(f"{HEAD}qtp1-1:https://h:{port}/service/admin/soap/: {ALERT}").readings

    assert reading.protocol is Protocol.ADMIN


def test_words_of_an_alert_in_the_url_make_the_line_doubtful():
    found = decoded(f"{HEAD}qtp1-1:https://h/DOS ALERT:ip=203.0.113.66, session=: {ALERT}")

    assert (found.is_certain, found.why) == (False, "the request's URL imitates an alert")
    assert found.readings[0].text == ALERT.encode()


def test_a_line_without_an_alert_is_its_message():
    (reading,) = decoded("2021-03-31 10:01:51.917:INFO:oejs.Server:main: Started @12345ms").readings

    assert (reading.logger, reading.text) == (b"Server", b"main: Started @12345ms")


@pytest.mark.parametrize("text", ["", "DOS ALERT: x", "2021-03-31 10:01:51:WARN:x:y", "\tat java.lang.Thread"])
def test_another_line_is_unreadable(text):
    assert decoded(text).readings == ()
