"""The parts of zward one by one, as systemd's units start them; and a store that holds many bans."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable, Iterator

from e2e import reachable
from e2e.zward import Zward
from helping import Helper

from appliance.address import parse_network
from appliance.firewall.places import SOCKET
from appliance.firewall.table.netlink import Netlink
from appliance.model import Ban
from appliance.store.store import Store

OLDER_KERNEL = """
from appliance.firewall import helper
from appliance.firewall.table import kernel
kernel.probed = lambda: kernel.Features(persist=False, destroy=False, updates=False)
helper.main()
"""
"""A helper that takes its kernel for one before Linux 6.3, as Debian 12 has it."""
HOUR = 3600.0


def nth_source(number: int) -> str:
    """One of 131,072 addresses of the network for benchmarks (RFC 2544)."""
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def remember(zward: Zward, sources: Iterable[str], seconds: float = HOUR) -> None:
    """Put bans into the store of a zward that does not run."""

    async def write() -> None:
        now = time.time()
        reason = "6 of 6 points in 30 min"
        bans = [Ban(parse_network(each), now - HOUR, now + seconds, "guessing", reason) for each in sources]
        store = await Store.open(zward.directory / "lib/zward.db", now)
        await store.add_bans(bans)
        await store.close()

    (zward.directory / "lib").mkdir(exist_ok=True)
    asyncio.run(write())


def give_to_receiver(zward: Zward) -> int:
    """The receiver's directories in its hands, as its unit sees to; its uid."""
    uid = reachable.users()["zward"]
    for directory in (zward.directory / "lib", zward.directory / "run"):
        directory.mkdir(exist_ok=True)
        for path in (directory, *directory.iterdir()):
            os.chown(path, uid, uid)
    return uid


@contextlib.contextmanager
def helper_alone(zward: Zward, *, older_kernel: bool = False) -> Iterator[Helper]:
    """Root's loader, then the helper, with sockets that outlive it. At the end all is gone, a receiver too."""
    receiver = give_to_receiver(zward)
    loaded = zward.command("firewall", "load")
    assert loaded.returncode == 0, loaded.stderr
    with contextlib.ExitStack() as stack:
        stack.callback(zward.forget)
        listening = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listening.bind(str(zward.firewall / SOCKET))
        listening.listen(4)
        os.chown(zward.firewall / SOCKET, receiver, -1)
        with zward.host.namespace.entered():
            netlink = Netlink()
        stack.callback(netlink.close)
        helper = Helper(zward.host.namespace, zward.firewall, listening, netlink, receiver)
        if older_kernel:
            helper.program = ("-c", OLDER_KERNEL)
        helper.start()
        stack.callback(helper.stop)
        stack.callback(zward.stop)
        yield helper
