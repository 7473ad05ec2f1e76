"""saslauthd: names the account and never the client (cyrus-sasl auth_zimbra.c, Zimbra's patch)."""

from datetime import tzinfo

from appliance.model import Message, Protocol
from appliance.read.decode.reading import Decoded, Reading
from appliance.read.origin import Origin, Trust

_NOBODY = Origin(None, "saslauthd does not know the client")


def decode(message: Message, _trust: Trust, _zone: tzinfo) -> Decoded:
    return Decoded((Reading(text=message.text.strip(), origin=_NOBODY, protocol=Protocol.SMTP),))
