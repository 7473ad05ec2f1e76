"""nginx.log of Zimbra's proxy: `date [level] pid#tid: *n MESSAGE, client: A:P, server: S, login: "L"[, upstream: …]`.

MESSAGE and L are raw client text. Zimbra's patch writes the client as `address:port` without brackets, for
IPv6 too: `2001:db8::7:8080` is a valid but wrong address, so it is cut at the last colon. The safest place
is the tail `(client->proxy) <=> (proxy->upstream)`, which nginx makes from its sockets.
"""

import re
from datetime import tzinfo

from appliance.model import Message, Protocol
from appliance.read.decode.reading import Decoded, Reading, unreadable
from appliance.read.origin import Origin, Trust, of_peer
from appliance.read.times import epoch

_HEAD = re.compile(rb"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[([a-z]{4,6})\] \d{1,10}#\d{1,10}: (?:\*\d{1,20} )?")
_CLIENT = re.compile(
    rb", client: ([0-9A-Fa-f:.\[\]]{2,60}?)(?::\d{1,5})?(?: using starttls)?"
    rb", server: ([^,\s]{1,255})(?=,|\Z)"
)
_LOGIN = re.compile(rb', login: "(.*)"\Z', re.DOTALL)
_TAIL = re.compile(
    rb", upstream: [^\s,]{1,255} \(([0-9A-Fa-f:.\[\]]{2,60}):(\d{1,5})->[0-9A-Fa-f:.\[\]]{2,60}:\d{1,5}\)"
    rb" <=> \([0-9A-Fa-f:.\[\]]{2,60}:\d{1,5}->[0-9A-Fa-f:.\[\]]{2,60}:\d{1,5}\)\Z"
)
_LOOKED_UP = re.compile(rb"user not found:(.*) while in mail zmauth state\Z", re.DOTALL)

_CUT_AT = 1900
"""nginx cuts a message at 2,048 bytes (NGX_MAX_ERROR_STR, date included): a longer line has lost its tail."""
_CLIENT_LIMIT = 8

_BY_PORT = {
    b"143": Protocol.IMAP, b"993": Protocol.IMAP, b"7143": Protocol.IMAP, b"7993": Protocol.IMAP,
    b"110": Protocol.POP3, b"995": Protocol.POP3, b"7110": Protocol.POP3, b"7995": Protocol.POP3,
}  # fmt: skip


def decode(message: Message, trust: Trust, zone: tzinfo) -> Decoded:
    """Split the line by structure. Where two clients could be read, there is none."""
    text = message.text.rstrip()
    head = _HEAD.match(text)
    if head is None:
        return unreadable("not a line of this log: no date, level and process")
    body = text[head.end() :]
    tail = _TAIL.search(body, max(0, len(body) - 600))
    front = body[: tail.start()] if tail else body
    clients = [m for m, _ in zip(_CLIENT.finditer(front), range(_CLIENT_LIMIT), strict=False)]
    if not clients:
        return Decoded((Reading(text=body, level=head[2]),))
    client = clients[0] if len(clients) == 1 else _consistent(front, clients)
    place = client or clients[0]
    login = _LOGIN.search(front, place.end())
    origin = _origin(client, tail, len(message.text), trust)  # blanks at its end are part of a cut line
    web = Protocol.HTTP if b"request: " in front else Protocol.UNKNOWN
    reading = Reading(
        text=front[: place.start()],
        level=head[2],
        origin=origin,
        account=login[1] if login else None,
        protocol=_BY_PORT.get(place[2].rpartition(b":")[2], web),
        time=epoch(head[1], "%Y/%m/%d %H:%M:%S", zone),
    )
    return Decoded((reading,), "" if origin.source else origin.why)


def _origin(client: re.Match[bytes] | None, tail: re.Match[bytes] | None, length: int, trust: Trust) -> Origin:
    if length > _CUT_AT:
        return Origin(None, f"a line of {length} bytes may have lost its end; no address on it is believed")
    if tail:
        return of_peer(tail[1], trust)
    if client is None:
        return Origin(None, "the login text imitates the line's structure; no address on it is believed")
    return of_peer(_cut_port(client), trust)


def _cut_port(client: re.Match[bytes]) -> bytes:
    """`address:port` up to the last colon; HTTP messages name the address alone."""
    whole = client[0].removeprefix(b", client: ").partition(b", server: ")[0].removesuffix(b" using starttls")
    address, colon, port = whole.rpartition(b":")
    is_bare = not colon or not port.isdigit() or (b":" not in address and b"." not in address)
    return whole if is_bare else address


def _consistent(front: bytes, clients: list[re.Match[bytes]]) -> re.Match[bytes] | None:
    """The one place whose message and `login:` name the same text; a forged place cannot manage that.

    The client's text stands twice in a lookup line, whole. A place inside the first copy has a shorter name
    before it than login behind it, a place inside the second copy a longer one.
    """
    fitting = [m for m in clients if _names_agree(front, m)]
    return fitting[0] if len(fitting) == 1 else None


def _names_agree(front: bytes, place: re.Match[bytes]) -> bool:
    looked_up = _LOOKED_UP.search(front, 0, place.start())
    login = _LOGIN.match(front, place.end())
    if looked_up is None or login is None:
        return False
    name, typed = looked_up[1], login[1]
    return name == typed or (name.startswith(typed + b"@") and b" " not in name[len(typed) :])
