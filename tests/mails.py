"""The mails that docs/mail.md shows, composed by the code itself.

python tests/mails.py     writes them into the page anew
"""

import re
import sys
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

from appliance.address import Net, parse_network
from appliance.model import Ban, Banned, Noticed, Severity
from appliance.notify.mail.batching import Batching
from appliance.notify.mail.digest import Attacked, Day, Doubtful, Quiet, Stale, digest
from appliance.notify.mail.mail import Envelope, Letter, Place, at_once, batch, message

PAGE = Path(__file__).parent.parent / "docs" / "mail.md"
ROME = Place("gw1", ZoneInfo("Europe/Rome"), "https://zward.example/docs/runbooks")
ENVELOPE = Envelope("zward@gw1.example.com", ("postmaster@example.com",))
T = 1_795_068_780.0
"""2026-11-19 06:13 UTC."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

ANA, BOB = "ana@example.com", "bob@example.com"
GUESSER = parse_network("203.0.113.9")

BREAK_IN = Noticed(
    "break-in",
    f"{ANA} from {GUESSER}",
    f"{GUESSER}, a stranger, got in at {ANA} over imap: it failed 7 times in 24 h before",
    Severity.CRITICAL,
    GUESSER,
    ANA,
)
FOUR = [
    Noticed(
        "zmauditswatch",
        subject,
        f"{failures} failed logins in 60 s (limit {failures}): {words}",
        source=GUESSER,
        account=ANA,
    )
    for subject, failures, words in (
        (f"{ANA} from {GUESSER}", 10, f"{ANA} from {GUESSER}"),
        (ANA, 10, ANA),
        (str(GUESSER), 20, str(GUESSER)),
        ("site", 100, "the whole site"),
    )
]
"""zmauditswatch's: address and account, account, address, all."""

_BLOCK = re.compile(r"<!-- mail: ([a-z ]+) -->\n```text\n.*?```\n", re.DOTALL)


def sent(letter: Letter, time: float = T) -> EmailMessage:
    return message(letter, ENVELOPE, ROME, time, "5f1c0a")


def shown(letter: Letter) -> str:
    """A mail as a person sees it."""
    mail = sent(letter)
    return f"Subject: {mail['Subject']}\n\n{mail.get_content().rstrip()}\n"


def source(number: int) -> Net:
    return Net((0xC6120000 + number).to_bytes(4, "big"), 32)  # 198.18.0.0/15, RFC 2544


def one_break_in() -> Letter:
    it = _batching()
    it.tell(BREAK_IN, T)
    return at_once(it.urgent.take(T + 2), ROME)


def some_bans() -> Letter:
    it = _batching()
    siege = "2 failures at a besieged account in 1 h (limit 2)"
    it.tell(Banned(Ban(GUESSER, T, T + 30 * MINUTE, "guessing", "6 points in 30 min"), (ANA, BOB)), T)
    it.tell(Banned(Ban(parse_network("198.51.100.7"), T, T + 125 * MINUTE, "siege", siege), (ANA,)), T + 40)
    it.tell(Banned(Ban(parse_network("2001:db8:7:9::/64"), T, T + 117 * MINUTE, "siege", siege), (ANA,)), T + 99)
    it.tell(FOUR[0], T + 3)
    return batch(it.batch.take(T + 400), ROME)


def a_flood(number: int = 100_000) -> Letter:
    it = _batching()
    for each in range(number):
        detector = "guessing" if each % 5 < 3 else "siege"
        it.tell(Banned(Ban(source(each), T, T + 30 * MINUTE, detector, ""), (ANA,)), T + each * 0.002)
    return batch(it.batch.take(T + 900), ROME)


def a_day() -> Letter:
    return digest(
        Day(
            T - DAY,
            T,
            bans={"guessing": 212, "siege": 61, "spraying": 4, "operator": 1},
            in_force=38,
            dropped=48_211,
            lifted=1,
            attacked=(
                Attacked(ANA, 1_204, 318, "4 of 10 in 30 min (3 strangers, 1 known device)", is_besieged=True),
                Attacked("info@example.com", 77, 12, ""),
            ),
            attacked_in_all=2,
            stale=(
                Stale("192.0.2.33", "m.rossi@example.com", ("imap",), 212, T - 2 * DAY, T - MINUTE, 12),
                Stale("192.0.2.33", "l.verdi@example.com", ("eas",), 64, T - 20 * HOUR, T - 6 * HOUR, 12),
            ),
            doubtful=(
                Doubtful(
                    *("198.51.100.44", "guessing", T - 4 * HOUR, T - 3 * HOUR),
                    (
                        "carla@example.com logs in from there, last 2026-11-18 17:02 UTC",
                        "bruno lifted it: a customer called",
                    ),
                    T - 3 * HOUR,
                ),
                Doubtful(
                    *("203.0.113.80", "spraying", T - 2 * HOUR, T + 9 * HOUR),
                    ("decided by lines that a client can write; only the address is proved",),
                ),
            ),
            doubtful_in_all=2,
            quiet=(Quiet("mbox2 (192.0.2.12)", T - 9 * HOUR),),
            lines=1_904_211,
            read=51_377,
            unknown=103,
        ),
        ROME,
    )


def a_quiet_day() -> Letter:
    return digest(Day(T - DAY, T, bans={"guessing": 3}, in_force=1, dropped=402, lines=1_214_001, read=38_002), ROME)


MAILS = {
    "at once": one_break_in,
    "batch": some_bans,
    "flood": a_flood,
    "digest": a_day,
    "quiet day": a_quiet_day,
}
SHORTENED = {"flood": 12}
"""Lines of a long mail that the page shows from its beginning, and as many from its end."""


def page(text: str) -> str:
    """The page with its mails written anew."""

    def block(found: re.Match[str]) -> str:
        name = found[1]
        lines = shown(MAILS[name]()).splitlines()
        if few := SHORTENED.get(name):
            lines = [*lines[:few], "  …", *lines[-few:]]
        return f"<!-- mail: {name} -->\n```text\n" + "\n".join(lines) + "\n```\n"

    return _BLOCK.sub(block, text)


def named(text: str) -> set[str]:
    return {found[1] for found in _BLOCK.finditer(text)}


def _batching() -> Batching:
    return Batching(Severity.CRITICAL, 60.0, 300.0, 900.0)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written\n")
