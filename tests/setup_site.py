"""A gateway and a site for tests of the setup: what its machine tells, and what its DNS knows."""

from appliance.address import Net, parse_network
from appliance.config.load import parse
from appliance.setup.answers import Found, Own, Scene


def nets(*texts: str) -> tuple[Net, ...]:
    return tuple(map(parse_network, texts))


def own(text: str, prefix: int) -> Own:
    address = parse_network(text)
    return Own(address, address.widened(prefix))


APPLIANCE = Found(
    interfaces={
        "wan": (own("203.0.113.1", 24), own("2001:db8:cafe::1", 64)),
        "lan": (own("10.0.0.1", 24),),
    },
    way_out="wan",
    time_zone="Europe/Rome",
)
"""Our virtual machine."""

SERVER = Found(interfaces={"eth0": (own("192.0.2.77", 24),), "eth1": ()}, way_out="eth0")
"""Any other host."""

DNS = {
    "mbox1.example.org": nets("10.0.0.10", "2001:db8::10"),
    "mbox2.example.org": nets("10.0.0.11"),
    "proxy1.example.org": nets("10.0.0.12", "2001:db8::12"),
    "here.example.org": nets("127.0.1.1"),
}

DELIVERED = """\
mode = "observe"
[listen]
udp = ["0.0.0.0:514", "[::]:514"]
tcp = ["0.0.0.0:514", "[::]:514"]
senders = ["127.0.0.0/8", "::1"]
[zimbra]
hosts = ["127.0.0.0/8", "::1"]
[gateway]
mode = "routed"
wan = ["wan"]
lan = ["lan"]
admin = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
"""
"""As our virtual machine comes: closed, and it knows no host."""


def resolve(name: str) -> tuple[Net, ...]:
    if name not in DNS:
        raise ValueError("Name or service not known")
    return DNS[name]


def scene(found: Found = APPLIANCE, text: str | None = None) -> Scene:
    return Scene(found, None if text is None else parse(text, "zward.toml"), resolve)
