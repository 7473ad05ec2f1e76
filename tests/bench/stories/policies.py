"""The policies that are compared, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.stories.defence import Defence
from bench.stories.jails import PUBLISHED, TUNED, Fail2ban
from bench.stories.zimbra import Lockout
from bench.stories.zward import Zward

from appliance.address import NetSet
from appliance.config.load import parse
from appliance.config.policy import policy_of
from appliance.judge.policy import Policy
from appliance.model import Mode


@dataclass(frozen=True, slots=True)
class Column:
    """One policy. `heading` is what stands over its column, in two lines."""

    name: str
    heading: str
    make: Callable[[Lockout], Defence]
    """Told of Zimbra's lockout, as an operator tells it."""
    is_jail: bool = False


def preset(name: str, lockout: Lockout) -> Policy:
    """What zward goes by where the configuration says no more than this."""
    text = f"""
preset = "{name}"
[zimbra]
lockout = {{ max_failures = {lockout.failures}, within = "{lockout.within:.0f}s" }}
"""
    return policy_of(parse(text, f"{name}.toml"), Mode.ENFORCE, NetSet(), {})


COLUMNS = (
    Column("zward-gentle", "zward\ngentle", lambda lockout: Zward(preset("gentle", lockout))),
    Column("zward", "zward\nbalanced", lambda lockout: Zward(preset("balanced", lockout))),
    Column("zward-strict", "zward\nstrict", lambda lockout: Zward(preset("strict", lockout))),
    Column("zward-fence", "balanced\n+ fence", lambda lockout: Zward(preset("balanced", lockout), fence=True)),
    Column("published-5", "published\n5/600/600", lambda _: Fail2ban(PUBLISHED, 5, 600, 600), is_jail=True),
    Column("published-3", "published\n3/1800/86400", lambda _: Fail2ban(PUBLISHED, 3, 1800, 86400), is_jail=True),
    Column("tuned-5", "tuned\n5/600/600", lambda _: Fail2ban(TUNED, 5, 600, 600), is_jail=True),
    Column("tuned-3", "tuned\n3/1800/86400", lambda _: Fail2ban(TUNED, 3, 1800, 86400), is_jail=True),
)

BY_NAME = {column.name: column for column in COLUMNS}
