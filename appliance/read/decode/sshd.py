"""OpenSSH's server: `Failed password for NAME from ADDRESS port N ssh2`.

NAME is client text of up to 100 bytes and may imitate all that follows it; of `Failed` lines the method is client
text as well (auth.c, auth_log: what the client asked for). But nothing that a client writes stands behind the
address, so the end of the line is read first: there is one way to read it. Of a success it is the other way round:
its name is an account's, without blanks, and a key's comment may follow the address.

On the way to syslog control characters are escaped (log.c: strnvis), so that nobody begins a line. What could be done
is to push the address out of it: sshd cuts its messages, and the text before would then look like the end. Of a line so
long no address is believed.
"""

import re
from datetime import tzinfo

from appliance.model import Message, Protocol
from appliance.read.decode.reading import Decoded, Reading
from appliance.read.origin import Origin, Trust, of_peer

_ADDRESS = rb" ([0-9A-Fa-f:.]{2,45})"
_ACCEPTED = re.compile(rb"(Accepted [a-z/-]{1,64} for \S{1,400} from)" + _ADDRESS + rb" port \d{1,5} ssh2(?::|\Z)")
_END = re.compile(_ADDRESS + rb"(?: port \d{1,5})?(?: ssh2)?(?: \[preauth\])?\Z")
"""Before OpenSSH 7.3 `Invalid user` lines name no port."""

_END_BYTES = 80
"""The longest end: an address of 45 bytes, ` port 65535`, ` ssh2`, ` [preauth]`."""

_CUT_AT = 1000
"""sshd cuts a message at 1,023 bytes (log.c, MSGBUFSIZ), a little less where an escape would not fit."""

_NOT_NAMED = Origin(None, "the line names no address at its end")


def decode(message: Message, trust: Trust, _zone: tzinfo) -> Decoded:
    """The text up to the client's address, which is taken off; the whole text where there is none."""
    text = message.text.strip()
    session = f"{message.host or ''}/{message.pid}" if message.pid else None
    found = _ACCEPTED.match(text)
    if found:
        front, address = found[1], found[2]
    elif end := _END.search(text, max(0, len(text) - _END_BYTES)):
        front, address = text[: end.start()], end[1]
    else:
        return Decoded((Reading(text=text, origin=_NOT_NAMED, protocol=Protocol.SSH, session=session),))
    reading = Reading(text=front, origin=of_peer(address, trust), protocol=Protocol.SSH, session=session)
    if len(message.text) >= _CUT_AT or message.may_be_cut:
        why = f"a line of {len(message.text)} bytes may have lost its end; no address on it is believed"
        return Decoded((reading,), why, is_certain=False)
    return Decoded((reading,))
