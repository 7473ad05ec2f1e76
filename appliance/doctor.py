"""What is missing or odd: on this machine, in the configuration, and in what arrives."""

import ctypes.util
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.clocks import Clocks
from appliance.config.schema import Config
from appliance.firewall.places import SOCKET
from appliance.listen.senders import Sender
from appliance.model import Mode

SILENT_SECONDS = 300.0
SKEW_SECONDS = 120.0
PEERS_TOLD = 5
"""Peers with a disbelieved `oip=` that are named, the busiest first: a proxy is busier than who plays one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    topic: str
    is_fine: bool
    says: str
    cure: str = ""


def of_machine(config: Config) -> Iterator[Finding]:
    """What can be seen without a running daemon."""
    library = ctypes.util.find_library("nftables")
    yield Finding(
        "libnftables",
        bool(library) or config.gateway is None,
        f"{library} is installed" if library else "libnftables.so.1 is not installed: [gateway] cannot be loaded",
        "" if library else "apt-get install libnftables1",
    )
    helper = config.firewall_directory / SOCKET
    is_there = os.path.exists(helper)
    yield Finding(
        "helper",
        is_there or config.mode is not Mode.ENFORCE,
        f"{helper} is there" if is_there else f"there is no {helper}: nothing can be enforced",
        "" if is_there else "start the firewall helper, which needs root: its systemd unit, or sudo make run",
    )
    yield Finding(
        "proxies",
        bool(config.zimbra.proxies),
        f"{len(config.zimbra.proxies)} configured"
        if config.zimbra.proxies
        else "zimbra.proxies is empty: no oip= is believed, and IMAP and POP3 behind a proxy show only the proxy",
        "" if config.zimbra.proxies else "name Zimbra's proxy hosts in [zimbra] proxies",
    )


def of_drift(told: str) -> Iterator[Finding]:
    """What somebody else did to the firewall lately; nothing where `told` is empty."""
    if told:
        cure = "it is put right by itself; find out which program does that, and keep it from our table"
        yield Finding("drift", False, told, cure)


def of_arrivals(senders: Mapping[str, Sender], clocks: Clocks, disbelieved: Mapping[str, int]) -> Iterator[Finding]:
    """What can be seen from what came in since the start."""
    now = time.time()
    if not senders:
        yield Finding("senders", False, "no host has sent a line yet", "zward setup rsyslog prints what they need")
    for address, sender in senders.items():
        silent = now - sender.last_seen
        yield Finding(
            "senders",
            silent < SILENT_SECONDS,
            f"{address} sent {sender.frames} lines, the last {_rounded(silent)} ago",
            "" if silent < SILENT_SECONDS else f"look at rsyslog on {address}",
        )
    for (address, program), stream in clocks.streams.items():
        if abs(stream.median) >= SKEW_SECONDS:
            corrected = ", which is corrected" if stream.offset else ""
            yield Finding(
                "clock",
                False,
                f"lines of {program} from {address} are {_lateness(stream.median)}{corrected}",
                "set time_zone to the mail hosts' zone, and keep their clocks right (timedatectl)",
            )
    for address, number in sorted(disbelieved.items(), key=lambda each: -each[1])[:PEERS_TOLD]:
        yield Finding(
            "proxies",
            False,
            f"{address} sent {number} lines with an oip= that is not believed: is it a proxy of yours?",
            f'if so, [zimbra] proxies = ["{address}"]; if you do not know it, leave it: clients make up such lines',
        )


def _lateness(seconds: float) -> str:
    """`2 h late`, `5 min ahead`."""
    return f"{_rounded(abs(seconds))} {'late' if seconds > 0 else 'ahead'}"


def _rounded(seconds: float) -> str:
    """`40 s`, `6 min`, `2 h`, `2.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 - 60 else f"{round(seconds / 900) / 4:g} h"
