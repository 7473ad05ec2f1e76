"""Whether we act before Zimbra does, and what to change where we do not."""

import pytest

from appliance.config.load import parse
from appliance.config.lockout import acts, warnings


def told(text: str) -> list[str]:
    return list(warnings(parse(text, "zward.toml")))


def keys(text: str) -> list[str]:
    return [warning.partition(": ")[0] for warning in told(text)]


def test_the_defaults_come_before_the_defaults_of_zimbra() -> None:
    assert told("") == []
    assert told('zimbra.lockout = { max_failures = 15, within = "1h" }') == []


@pytest.mark.parametrize(
    ("points", "failures", "warned"), [(6, 10, 0), (7, 10, 1), (13, 20, 0), (14, 20, 1), (62, 90, 0), (63, 90, 1)]
)
def test_guessing_acts_before_the_lockout(points: int, failures: int, warned: int) -> None:
    limits = f"detect.guessing.points = {points}\nzimbra.lockout.max_failures = {failures}\n"

    assert keys(limits + NO_FILTER) == ["detect.guessing.points"] * warned


NO_FILTER = "zimbra.dosfilter = { max_failed_logins = 0, requests_per_second = 0 }\n"


def test_the_warning_names_both_numbers_and_what_to_set_them_to() -> None:
    assert told("detect.guessing.points = 9") == [
        "detect.guessing.points: 9 is not less than 0.7 × zimbra.lockout.max_failures (10): Zimbra may lock an "
        "account before the source that tries it is banned; set it to 6 at most, or zimbra.lockout.max_failures, here "
        "and in Zimbra, to 13 at least"
    ]


@pytest.mark.parametrize("points", range(1, 30))
@pytest.mark.parametrize("failures", [1, 2, 3, 10, 15, 20])
def test_who_follows_the_advice_is_not_warned_again(points: int, failures: int) -> None:
    def limits(points: int, failures: int) -> str:
        return (
            f"detect.guessing.points = {points}\nzimbra.lockout.max_failures = {failures}\n"
            f'detect.siege.mode = "observe"\ndetect.siege.tries = 1\n{NO_FILTER}'
        )

    for warning in told(limits(points, failures)):
        if warning.startswith("detect.guessing.points"):
            words = warning.split()
            least = int(words[-3])
            assert "detect.guessing.points" not in keys(limits(points, least))
            if "set it to" in warning:
                most = int(words[words.index("most,") - 2])
                assert "detect.guessing.points" not in keys(limits(most, failures))
                assert "detect.guessing.points" in keys(limits(most + 1, failures))


def test_a_window_shorter_than_half_of_the_lockouts_is_told() -> None:
    assert told('detect.guessing.within = "15m"') == []
    assert told('detect.guessing.within = "14m"') == [
        "detect.guessing.within: 14m is less than half of zimbra.lockout.within (30m): who waits a little can make "
        "Zimbra lock an account unbanned; set it to 15m at least"
    ]
    assert keys('detect.siege.within = "14m"') == ["detect.siege.within"]


def test_who_stops_one_short_of_a_ban_and_waits_is_counted_too() -> None:
    patient = 'detect.guessing.within = "15m"\ndetect.slow-guessing.mode = "off"\n'

    assert told(patient) == [
        "detect.guessing.within: 15m: who fails 5 times, waits that long and goes on makes up to 10 failures in "
        "zimbra.lockout.within (30m) unbanned, and 10 lock an account; set it to 30m at least"
    ]
    assert told(patient.replace("15m", "30m")) == []
    assert told(patient + "detect.guessing.points = 5") == []


@pytest.mark.parametrize(("tries", "failures", "warned"), [(2, 6, 0), (2, 5, 1), (4, 10, 0), (5, 10, 1), (1, 3, 1)])
def test_a_siege_leaves_enough_of_the_budget_for_one_more_stranger(tries: int, failures: int, warned: int) -> None:
    limits = f"detect.siege.tries = {tries}\nzimbra.lockout.max_failures = {failures}\ndetect.guessing.points = 6"

    assert keys(limits).count("detect.siege.tries") == warned


def test_a_siege_that_allows_as_much_as_peace_is_told() -> None:
    assert told("detect.siege.tries = 3\ndetect.guessing.points = 3") == [
        "detect.siege.tries: 3 is not less than detect.guessing.points (3): a siege would let a stranger try as often "
        "as without it; set it to 2 at most"
    ]


def test_without_a_siege_nothing_stops_many_strangers() -> None:
    assert told('detect.siege.mode = "off"') == [
        'detect.siege.mode: "off": many strangers with a try each can make Zimbra lock an account, and no number of '
        'guessing\'s changes that; set it to "enforce"'
    ]


def test_a_zimbra_that_never_locks_needs_no_care() -> None:
    assert told('zimbra.lockout.max_failures = 0\ndetect.siege.mode = "off"\ndetect.guessing.within = "1m"') == []


def test_a_detector_that_is_off_has_no_limits_to_warn_of() -> None:
    assert told('detect.guessing = { mode = "off", points = 99, within = "1s" }') == []


def test_the_filters_of_the_mailbox_servers_are_counted_too() -> None:
    limits = "zimbra.lockout.max_failures = 0\nzimbra.dosfilter = { max_failed_logins = 5, requests_per_second = 4 }\n"

    assert told(limits + "detect.guessing.points = 4") == []
    assert told(limits) == [
        "detect.guessing.points: 6 is more than zimbra.dosfilter.max_failed_logins (5): Zimbra's invalid-login filter "
        "turns the source away from the web first; set it to 5 at most, or zimbra.dosfilter.max_failed_logins, here "
        "and in Zimbra, to 6 at least",
        "detect.guessing.points: 6 is more than zimbra.dosfilter.requests_per_second (4): Zimbra's DoSFilter slows the "
        "source down first; set it to 4 at most, or zimbra.dosfilter.requests_per_second, here and in Zimbra, to 6 at "
        "least",
    ]


BOTH = "Zimbra's lockout (10 in 30m) and invalid-login filter (10)"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('mode = "enforce"', f"acts at 6 failures of one stranger: before {BOTH}"),
        ("", f'would act, with mode = "enforce", at 6 failures of one stranger: before {BOTH}'),
        (
            'mode = "enforce"\ndetect.guessing.points = 9',
            "acts at 9 failures of one stranger: before Zimbra's invalid-login filter (10), "
            "not surely before Zimbra's lockout (10 in 30m)",
        ),
        (
            'mode = "enforce"\ndetect.guessing.within = "5m"\nzimbra.dosfilter.max_failed_logins = 0',
            "acts at 6 failures of one stranger: not surely before Zimbra's lockout (10 in 30m)",
        ),
        (
            'mode = "enforce"\ndetect.guessing.mode = "observe"',
            f"does not act on guessing, which is in mode observe: not surely before {BOTH}",
        ),
        (
            'mode = "enforce"\nzimbra.lockout.max_failures = 0\nzimbra.dosfilter.max_failed_logins = 0',
            "acts at 6 failures of one stranger: Zimbra itself locks no account and turns nobody away",
        ),
    ],
)
def test_one_line_says_who_acts_first(text: str, line: str) -> None:
    assert acts(parse(text, "zward.toml")) == line
