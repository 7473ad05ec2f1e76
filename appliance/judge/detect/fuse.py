"""fuse: we ban at a rate that no site needs."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode


@dataclass(frozen=True, slots=True)
class FuseLimits:
    """More than 100 bans in 5 min; mended after 15 quiet minutes.

    While it is blown a ban needs packet proof where the gateway can give it, the lines of one sender cause at most
    1,000 in 5 min, and of whoever ever logged in people are only told. Standing bans stand.
    """

    name: ClassVar[str] = "fuse"

    mode: DetectorMode = DetectorMode.ENFORCE
    bans: int = 100
    within: float = 300.0
    per_sender: int = 1000
    quiet: float = 900.0
