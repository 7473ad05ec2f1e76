"""Postfix: plain text, whose client stands in the brackets next to its reverse name; the rules read it."""

from datetime import tzinfo

from appliance.model import Message, Protocol
from appliance.read.decode.reading import Decoded, Reading
from appliance.read.origin import Trust


def decode(message: Message, _trust: Trust, _zone: tzinfo) -> Decoded:
    """The text as it is; a leading space is left by rsyslog's RFC 5424 template."""
    session = f"{message.host or ''}/{message.pid}" if message.pid else None
    return Decoded((Reading(message.text.strip(), protocol=Protocol.SMTP, session=session),))
