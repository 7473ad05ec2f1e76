"""The tables `[detect.*]`, one a detector; docs/detectors.md explains how each of them thinks.

Keys and defaults are those of the detector's own settings in `appliance.judge.detect`.
"""

from typing import Annotated

from pydantic import ConfigDict, PlainValidator

from appliance.config.durations import seconds
from appliance.config.fence import Fence
from appliance.config.table import Table, at_most
from appliance.config.values import account_name, duration, share, whole
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Office

Window = Annotated[float, duration("1s", "30d")]
"""How far back a detector counts. 30 days is how long a familiar source is remembered."""
Step = Annotated[float, duration("1s", "30d")]
"""One ban's length. With the greatest jitter it is 45 days, the longest that the firewall side accepts."""
Count = Annotated[int, whole(1, 1000)]
"""What is kept of one source or account: beyond it exact state would cost too much memory."""
SiteCount = Annotated[int, whole(1, 100_000)]
"""What is counted once for the whole site, or once for a sender."""
Part = Annotated[float, share(0, 1)]

Account = Annotated[str, PlainValidator(account_name)]
Accounts = Annotated[tuple[Account, ...], at_most(1000, "accounts")]
"""Trap names are looked up at every failure, and read by a person now and then: a thousand is plenty."""


class Guessing(Table):
    """A source that fails too often."""

    mode: DetectorMode = DetectorMode.ENFORCE
    points: Count = 6
    within: Window = seconds("30m")


class SlowGuessing(Table):
    """A source that fails all day and never once gets in."""

    mode: DetectorMode = DetectorMode.ENFORCE
    points: Count = 10
    within: Window = seconds("24h")


class Siege(Table):
    """One account and many strangers."""

    mode: DetectorMode = DetectorMode.ENFORCE
    strangers: Annotated[int, whole(2, 64)] = 5
    """64 are told apart at one account."""
    within: Window = seconds("1h")
    tries: Annotated[int, whole(1, 100)] = 2
    grace: Annotated[float, duration("1s", "1h")] = seconds("90s")
    """For a person who mistyped and tries again. Nobody needs an hour for that."""
    quiet: Window = seconds("1h")
    fence: Fence = Fence()


class Spraying(Table):
    """A source that fails at many accounts."""

    mode: DetectorMode = DetectorMode.ENFORCE
    accounts: Annotated[int, whole(2, 1000)] = 5
    strangers: Annotated[int, whole(2, 1000)] = 3
    within: Window = seconds("1h")


class Campaign(Table):
    """The whole site fails far more than at this hour on other days."""

    mode: DetectorMode = DetectorMode.ENFORCE
    strangers: Annotated[int, whole(2, 65_536)] = 50
    """So many are told apart in one hour."""
    sigmas: Annotated[float, share(1, 20)] = 4.0
    points: Count = 3


class Neighbourhood(Table):
    """Several banned hosts in one network."""

    mode: DetectorMode = DetectorMode.ENFORCE
    hosts: Annotated[int, whole(2, 64)] = 4
    networks: Annotated[int, whole(2, 64)] = 3
    """64 are told apart in one network."""
    within: Window = seconds("24h")


class AdminDoor(Table):
    """Failures at the admin console."""

    mode: DetectorMode = DetectorMode.ENFORCE
    attempts: Count = 3
    within: Window = seconds("1h")


class Trap(Table):
    """Login names that nobody uses."""

    mode: DetectorMode = DetectorMode.ENFORCE
    accounts: Accounts = ()
    term: Step = seconds("24h")


class Probing(Table):
    """Talks to login ports and does not log in."""

    mode: DetectorMode = DetectorMode.ENFORCE
    points: Count = 10
    within: Window = seconds("10m")


class Harvesting(Table):
    """Guesses recipients on port 25."""

    mode: DetectorMode = DetectorMode.ENFORCE
    points: Count = 15
    within: Window = seconds("10m")
    known_for: Window = seconds("7d")


class BreakIn(Table):
    """A stranger who gets in after failing."""

    mode: DetectorMode = DetectorMode.ENFORCE
    failures: Count = 5
    within: Window = seconds("24h")
    banned_within: Window = seconds("7d")


class ManyPlaces(Table):
    """One account, logged in from too many networks."""

    mode: DetectorMode = DetectorMode.ENFORCE
    networks: Annotated[int, whole(2, 19)] = 5
    """20 sources are kept of one account, so there is never more to exceed."""
    within: Window = seconds("6h")


class Outbound(Table):
    """An account that suddenly sends."""

    mode: DetectorMode = DetectorMode.ENFORCE
    recipients: SiteCount = 200
    times: Annotated[int, whole(2, 1000)] = 10


class Zmauditswatch(Table):
    """The four counts of Zimbra's own zmauditswatch; they end in a notice, never in a ban."""

    mode: DetectorMode = DetectorMode.ENFORCE
    source_and_account: SiteCount = 10
    account: SiteCount = 10
    source: SiteCount = 20
    total: SiteCount = 100
    within: Window = seconds("60s")


class StaleDevice(Table):
    """A familiar source that fails at its own account."""

    mode: DetectorMode = DetectorMode.ENFORCE
    failures: Count = 30
    within: Window = seconds("1h")


class Outage(Table):
    """The login service itself is broken."""

    mode: DetectorMode = DetectorMode.ENFORCE
    sources: Count = 20
    within: Window = seconds("5m")
    share: Part = 0.1


class Silence(Table):
    """A sender of logs that fell quiet."""

    mode: DetectorMode = DetectorMode.ENFORCE
    after: Annotated[float, duration("10s", "1d")] = seconds("5m")
    """A sender's buffers alone can hold lines back for seconds."""
    lines: Annotated[int, whole(1, 255)] = 20
    """Each five minutes are counted in one byte: more than that is lively whatever it is."""


class Fuse(Table):
    """We ourselves ban far too many."""

    mode: DetectorMode = DetectorMode.ENFORCE
    bans: SiteCount = 100
    within: Window = seconds("5m")
    per_sender: SiteCount = 1000
    quiet: Window = seconds("15m")


class Ineffective(Table):
    """Attempts of a source that is banned."""

    mode: DetectorMode = DetectorMode.ENFORCE
    after: Annotated[float, duration("1s", "1h")] = seconds("5s")


class Detect(Table):
    """One table a detector, and what holds for all of them."""

    model_config = ConfigDict(alias_generator=lambda field: field.replace("_", "-"))

    office: Office = Office.ALERT
    guessing: Guessing = Guessing()
    slow_guessing: SlowGuessing = SlowGuessing()
    siege: Siege = Siege()
    spraying: Spraying = Spraying()
    campaign: Campaign = Campaign()
    neighbourhood: Neighbourhood = Neighbourhood()
    admin_door: AdminDoor = AdminDoor()
    trap: Trap = Trap()
    probing: Probing = Probing()
    harvesting: Harvesting = Harvesting()
    break_in: BreakIn = BreakIn()
    many_places: ManyPlaces = ManyPlaces()
    outbound: Outbound = Outbound()
    zmauditswatch: Zmauditswatch = Zmauditswatch()
    stale_device: StaleDevice = StaleDevice()
    outage: Outage = Outage()
    silence: Silence = Silence()
    fuse: Fuse = Fuse()
    ineffective: Ineffective = Ineffective()
