"""zmmailboxd.out: Jetty's own log, `date time.ms:LEVEL:logger:thread: message`.

The thread holds the request URL, so the words of an alert can stand in it; the real ones come last.
"""

import re
from datetime import tzinfo

from appliance.model import Message, Protocol
from appliance.read.decode.reading import Decoded, Reading, unreadable
from appliance.read.origin import Trust
from appliance.read.times import epoch

_HEAD = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{3}:([A-Z]{4,5}):([A-Za-z0-9_.]{1,64}):")
_ADMIN_PORT = re.compile(rb"://[^/\s]{1,255}:(?:7071|9071)/")
_ALERT = b"DOS ALERT:"


def decode(message: Message, _trust: Trust, zone: tzinfo) -> Decoded:
    head = _HEAD.match(message.text)
    if head is None:
        return unreadable("not a line of this log: no date, level and logger")
    alerts = message.text.count(_ALERT)
    start = max(head.end(), message.text.rfind(_ALERT))
    reading = Reading(
        text=message.text[start:].rstrip(),
        logger=head[3].rpartition(b".")[2],
        level=head[2],
        protocol=Protocol.ADMIN if _ADMIN_PORT.search(message.text, head.end(), start) else Protocol.HTTP,
        time=epoch(head[1], "%Y-%m-%d %H:%M:%S", zone),
    )
    if alerts > 1:
        return Decoded((reading,), "the request's URL imitates an alert", False)
    return Decoded((reading,))
