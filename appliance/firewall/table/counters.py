"""Named counters, as the kernel tells them."""

from collections.abc import Iterable

from appliance.firewall.backend import Dropped
from appliance.firewall.table.elements import TABLE_NAME
from appliance.firewall.table.netlink import INET, Message, attributes

QUESTION = Message(19, 0, INET, TABLE_NAME)
"""NFT_MSG_GETOBJ: of a dump, every counter of our table."""


def counted(dumped: Iterable[bytes]) -> dict[str, Dropped]:
    """The counters by name."""
    found = {}
    for message in dumped:
        read = attributes(message)
        values = attributes(read.get(4, b""))
        name = read.get(2, b"").rstrip(b"\0").decode("ascii", "replace")
        found[name] = Dropped(int.from_bytes(values.get(2, b""), "big"), int.from_bytes(values.get(1, b""), "big"))
    return found
