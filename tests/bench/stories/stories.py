"""Every story, in the order of the page."""

from bench.stories import attacks, households
from bench.stories.script import Story

_FIRST_TRY = "a log tells of a try only after it was made"
_THIRD_TRY = "six tries and a short first ban leave room for mistakes; 3 tries and a day refuse travellers and offices"
_SHARED = 'a ban refuses everybody there, so a detection at an office tells first; `office = "ban"` bans at once'

STORIES = (
    Story(
        "one-address",
        "One address, a try every 5 s at one account.",
        attacks.one_address,
        _THIRD_TRY,
    ),
    Story(
        "reused-addresses",
        "200 addresses take turns at one account, a try every 30 s.",
        attacks.reused_addresses,
        _THIRD_TRY,
    ),
    Story(
        "fresh-addresses",
        "Every try at one account comes from an address never seen before, every 30 s.",
        attacks.fresh_addresses,
        f"{_FIRST_TRY}, and no address comes twice; only a fence or a second factor helps",
    ),
    Story("spray-from-one", "One address sprays 300 accounts, a try a minute.", attacks.spray_from_one),
    Story("spray-from-many", "20 addresses spray 300 accounts, each a try every 10 min.", attacks.spray_from_many),
    Story(
        "unknown-accounts",
        "10 addresses try names that do not exist, over IMAP and the web.",
        attacks.unknown_accounts,
        _THIRD_TRY,
    ),
    Story(
        "office-stale-phone",
        "40 people behind one address; one phone there has an old password.",
        households.office_with_stale_phone,
    ),
    Story("password-changed", "A password is changed; 3 devices at home fail for 8 h.", households.password_changed),
    Story("traveller", "A new address, 4 typos, then in, and all day from there.", households.traveller),
    Story(
        "mobile-owner",
        "The owner of a besieged account moves through a mobile network, with typos.",
        households.mobile_owner,
        _THIRD_TRY,
    ),
    Story(
        "outage",
        "The login service is down for 20 min: everybody fails, and 30 bots guess.",
        households.outage,
        _THIRD_TRY,
    ),
    Story(
        "migration-day", "Half of 60 people have old passwords for up to a day; two offices.", households.migration_day
    ),
    Story(
        "carrier-nat",
        "60 people and one guesser behind one address of a carrier.",
        households.carrier_nat,
        _SHARED,
    ),
    Story("rotating-ipv6", "Another address of one /64 each try, then another /64 of one /48.", attacks.rotating_ipv6),
    Story(
        "credential-stuffing",
        "100 addresses try 1,000 leaked passwords once; 1 % are right.",
        attacks.credential_stuffing,
    ),
    Story(
        "compromised-account",
        "A stranger gets in at the 5th try, and mails 2,000 people.",
        attacks.compromised_account,
        "the password was right: from there on nobody guesses, and zward tells",
    ),
    Story(
        "behind-an-office",
        "An attacker owns an account of an office, and guesses others from its address.",
        households.behind_an_office,
        _SHARED,
    ),
    Story(
        "log-injection",
        "Tries from fresh addresses whose text holds lines that blame 40 households.",
        attacks.log_injection,
        f"{_FIRST_TRY}, and no address comes twice",
    ),
    Story(
        "skewed-clocks",
        "One guesser; one host's clock is 3 h ahead, the other's 7 min behind.",
        households.skewed_clocks,
    ),
    Story(
        "drained-queue",
        "Two hours of lines, typos and guesses in them, arrive at once.",
        households.drained_queue,
        _THIRD_TRY,
    ),
)

BY_NAME = {story.name: story for story in STORIES}
