"""Postfix: the text as it is, and the session that joins its lines."""

from datetime import UTC

import pytest

from appliance.config.rule_files import SAMPLE_TRUST
from appliance.model import Message, Protocol
from appliance.read.decode.postfix import decode


@pytest.mark.parametrize(
    ("host", "pid", "session"), [("mx1", "4021", "mx1/4021"), (None, "4021", "/4021"), ("mx1", None, None)]
)
def test_lines_of_one_process_on_one_host_are_one_session(host, pid, session):
    (reading,) = decode(Message(2, 4, None, host, "postfix", pid, b" warning: x \n"), SAMPLE_TRUST, UTC).readings

    assert (reading.session, reading.text) == (session, b"warning: x")
    assert (reading.protocol, reading.origin, reading.time) == (Protocol.SMTP, None, None)
