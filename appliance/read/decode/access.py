"""nginx.access.log: `address:port - user [time]  "request" status …` (two spaces behind the time).

The address comes first, before any client text; IPv6 has no brackets and is cut at the last colon.
A 401 with a user means that credentials were sent and refused: for HTTP Basic (DAV, EWS, ActiveSync) with
an unknown account it is the only trace anywhere. A 401 with `-` is the normal challenge.
"""

import re
from datetime import tzinfo

from appliance.model import Message
from appliance.read.decode.paths import protocol_of
from appliance.read.decode.reading import Decoded, Reading, unreadable
from appliance.read.origin import Trust
from appliance.read.times import epoch

_LINE = re.compile(
    rb"([0-9A-Fa-f:.\[\]]{2,60}):\d{1,5} - (.{1,1024}?)"
    rb" \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] {1,2}"
    rb'"([A-Z]{1,20}) ([^"\s]{1,8192}) HTTP/[0-9.]{1,3}" (\d{3}) '
)
_PATH = re.compile(rb"[a-z]{2,5}://[^/\s]{1,255}(/[^?\s]*)")


def decode(message: Message, trust: Trust, zone: tzinfo) -> Decoded:
    """The rules see `status user method`, where user is `-` or `+`."""
    line = _LINE.match(message.text)
    if line is None:
        return unreadable("not a line of this log: no address, user, time, request and status")
    address, user, stamp, method, target, status = line.groups()
    path = found[1] if (found := _PATH.match(target)) else target
    reading = Reading(
        text=b" ".join((status, b"-" if user == b"-" else b"+", method)),
        origin=trust.of_peer(address),
        account=None if user == b"-" else user,
        protocol=protocol_of(path),
        time=epoch(stamp, "%d/%b/%Y:%H:%M:%S %z", zone),
    )
    return Decoded((reading,))
