"""What to say and what to do about what a detector found: one title and a few steps for each.

Whoever reads it was woken, or is no specialist. So each step is one thing to do, with the command to type.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.address import Net
from appliance.judge.words import visible

_PLACES = re.compile(r"\{(source|account)\}")
_WORDS = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person is told beside the reason."""

    title: str
    """A few words for the subject of a mail; no full stop."""
    to_do: tuple[str, ...]
    """Short sentences. `{source}` and `{account}` stand at the end of a command, for `steps` to fill."""

    def steps(self, source: Net | None = None, account: str | None = None) -> tuple[str, ...]:
        """What to do, with the names filled in so that a command can be pasted into a shell, whatever a client called
        itself. A step about a source or an account that nobody knows is left out."""
        known = {"source": str(source) if source else "", "account": argument(account) if account else ""}
        return tuple(
            _PLACES.sub(lambda place: known[place[1]], step)
            for step in self.to_do
            if all(known[place] for place in _PLACES.findall(step))
        )


def argument(text: str) -> str:
    """Client text as the last word of a shell command: one word on one line, and no option."""
    quoted = shlex.quote(visible(text))
    return f"-- {quoted}" if text.startswith("-") else quoted


def alertname(detector: str) -> str:
    """`break-in` → `ZwardBreakIn`: the name of its alert, and of its runbook."""
    return "Zward" + "".join(word.capitalize() for word in _WORDS.findall(detector))


def advice_of(detector: str) -> Advice:
    """What to do about a detector's finding; something that is never wrong where the name is unknown."""
    return ADVICE.get(detector, _UNKNOWN)


_WHY = "See what it did: zward why {source}"
_ACCOUNT = "See who tries the account, and where its owner logs in: zward account {account}"
_LET_IN = "Let it in if it is one of yours: zward unban {source}"
_PASSWORD = "If its owner does not know that place, set a new password in Zimbra and end the account's sessions."  # noqa: S105
_STATUS = "See how zward is: zward status"
_DOCTOR = "See what zward finds missing or odd: zward doctor"
_SENDERS = "See which senders are heard, and since when they are not: zward status"

_UNKNOWN = Advice("zward has something to tell", ("Read the reason.", _WHY, _ACCOUNT, _STATUS))

ADVICE: Mapping[str, Advice] = {
    "trap": Advice(
        "Somebody tried a login name that nobody uses",
        ("Nothing is urgent: whoever tries it is banned.", _WHY, _LET_IN),
    ),
    "admin-door": Advice(
        "A stranger at the admin console",
        (
            "Ask every administrator whether it was them.",
            _WHY,
            "If it got in and was none of you, change that password and look for new administrators: zmprov gaaa",
            "Open port 7071 to your own networks only: admin in the table [gateway].",
        ),
    ),
    "guessing": Advice(
        "Passwords are being guessed",
        (
            "If the address is an office of yours, ask there for a device with an old password; it is not banned.",
            _WHY,
            _LET_IN,
        ),
    ),
    "slow-guessing": Advice(
        "Passwords are being guessed slowly",
        (
            "If the address is an office of yours, ask there for a device with an old password; it is not banned.",
            _WHY,
            _LET_IN,
        ),
    ),
    "spraying": Advice(
        "One source tries many accounts",
        (
            "If the address is an office of yours, look there for an infected computer or a shared relay.",
            _WHY,
            _LET_IN,
        ),
    ),
    "siege": Advice(
        "Many strangers try one account",
        (
            "Wait: each further stranger has one try, and where the owner logged in before, the owner gets in.",
            _ACCOUNT,
            "Ask the owner for a long password; it need not be changed while nobody got in.",
        ),
    ),
    "probing": Advice(
        "A source probes the mail server",
        ("Nothing is urgent: it is kept from the login ports only.", _WHY, _LET_IN),
    ),
    "harvesting": Advice(
        "A source guesses mail addresses",
        (
            "Nothing is urgent: it is kept from port 25 only.",
            _WHY,
            "If it is a mail server whose mail you want, let it in: zward unban {source}",
        ),
    ),
    "zmauditswatch": Advice(
        "Many failed logins within a minute",
        ("If the detectors banned the source, nothing is left to do: zward bans", _WHY, _ACCOUNT),
    ),
    "stale-device": Advice(
        "A device uses an old password",
        (
            "Call the owner: a phone or a mail program at a known place has the old password. It is not banned.",
            _ACCOUNT,
            _WHY,
        ),
    ),
    "campaign": Advice(
        "Far more strangers than usual fail to log in",
        (
            "Wait: strangers have fewer tries until it is over.",
            "See who is banned: zward bans",
            "Look for accounts under siege: zward status",
        ),
    ),
    "neighbourhood": Advice(
        "A whole network is banned",
        ("See whose network it is, and what came from it: zward why {source}", "See the bans: zward bans", _LET_IN),
    ),
    "break-in": Advice(
        "A stranger seems to know a password",
        (
            "Ask the owner now whether it was them, by telephone and not by mail.",
            _ACCOUNT,
            _PASSWORD,
            "Then ban the stranger by hand: zward ban --for 7d --reason break-in {source}",
        ),
    ),
    "many-places": Advice(
        "An account is used from many networks",
        ("Ask the owner whether they travel, or share the password.", _ACCOUNT, _PASSWORD),
    ),
    "outbound": Advice(
        "An account suddenly sends much mail",
        (
            "Ask the owner whether they sent it.",
            _ACCOUNT,
            "If they did not, close the account in Zimbra, and hold what waits in Postfix (mailq, postsuper -h).",
            "Then set a new password, and look for filters and forwards that somebody else made.",
        ),
    ),
    "outage": Advice(
        "Logins fail for everybody",
        (
            "Is LDAP up, is a disk full, did a certificate end? On a mail host as user zimbra: zmcontrol status",
            "Nobody who ever logged in is banned meanwhile.",
            _STATUS,
        ),
    ),
    "silence": Advice(
        "A mail host sends no more log lines",
        (
            "Look at rsyslog on that host: systemctl status rsyslog",
            _SENDERS,
            _DOCTOR,
            "Until lines come again, nobody who attacks through that host is banned.",
        ),
    ),
    "fuse": Advice(
        "zward bans faster than any site needs",
        (
            "See whom, and for what: zward bans",
            'If they are your users, ban nobody for now: mode = "observe" in the configuration, then zward reload',
            "Keep your own networks from being banned: zward allow add NETWORK",
            _STATUS,
        ),
    ),
    "ineffective": Advice(
        "A banned source still gets through",
        (
            "Look for a second way to that mail host, or a proxy or NAT in front of this gateway.",
            _WHY,
            "Compare the kernel's rules with what they should be: zward firewall diff",
            _DOCTOR,
        ),
    ),
    "operator": Advice(
        "An operator banned an address",
        ("Ask whoever did it, if you did not expect it.", _WHY, _LET_IN),
    ),
}
"""By detector."""
