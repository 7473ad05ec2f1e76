"""saslauthd: a failure that blames nobody."""

from datetime import UTC

from appliance.config.rule_files import SAMPLE_TRUST
from appliance.model import Message, Protocol
from appliance.read.decode.saslauthd import decode


def test_saslauthd_never_knows_the_client():
    text = b" auth_zimbra: unknown[203.0.113.66] auth failed: x"
    (reading,) = decode(Message(4, 6, None, "mx1", "saslauthd", "7", text), SAMPLE_TRUST, UTC).readings

    assert reading.origin is not None
    assert (reading.origin.source, reading.origin.why) == (None, "saslauthd does not know the client")
    assert (reading.text, reading.protocol) == (text.strip(), Protocol.SMTP)
