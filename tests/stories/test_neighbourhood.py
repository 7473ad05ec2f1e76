"""Several hosts of one network are banned: the network is the attacker's, if nobody else lives in it."""

from dataclasses import replace

import pytest
from story import ENFORCE, HOUR, Story, address, line, nets

from appliance.judge.detect.neighbourhood import Neighbourhood
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Ours
from appliance.model import Banned, Evidence, Mode, Scope

HOSTS = [f"203.0.113.{number}" for number in range(10, 14)]
NETWORK = next(iter(nets("203.0.113.0/24").networks))


def guesses(at: float, source: str):
    """Six bad passwords at two accounts that nobody else tries: the source is banned at the last."""
    return [line(at + second, source=source, account=f"{second % 2}.{source}@example.com") for second in range(6)]


def banned_in(story: Story, hosts=HOSTS, at: float = 100.0) -> list[str]:
    """What is banned after so many hosts, one every ten minutes, did their guessing."""
    return [str(ban.source) for place, host in enumerate(hosts) for ban in story.bans(guesses(at + 600 * place, host))]


def test_fourth_banned_host_of_a_24_within_a_day_bans_the_network_from_where_people_log_in():
    story = Story()
    assert banned_in(story, HOSTS[:3]) == HOSTS[:3]

    own, around = story.bans(guesses(3000, HOSTS[3]))

    assert str(own.source) == HOSTS[3]
    assert around.source == NETWORK
    assert around.detector == "neighbourhood"
    assert around.ban.scope is Scope.LOGIN
    assert around.reason == (
        "4 addresses of 203.0.113.0/24 were banned in 24 h (limit 4), and nobody ever logged in or sent mail from there"
    )
    assert story.fails(3100, source="203.0.113.200").reason.startswith("already banned until ")


def test_host_of_a_banned_network_that_goes_on_elsewhere_is_banned_at_all_ports():
    story = Story()
    banned_in(story)

    [ban] = story.bans(guesses(3000, "203.0.113.200"))

    assert str(ban.source) == "203.0.113.200"
    assert (ban.detector, ban.ban.scope) == ("guessing", Scope.ALL)


def test_third_banned_64_of_a_48_bans_the_48():
    story = Story()

    assert banned_in(story, [f"2001:db8:7:{number}::1" for number in range(3)]) == [
        "2001:db8:7::/64",
        "2001:db8:7:1::/64",
        "2001:db8:7:2::/64",
        "2001:db8:7::/48",
    ]


def test_one_host_banned_again_and_again_is_one_host():
    story = Story()
    for each in range(4):
        ban = story.bans(guesses(each * 8 * HOUR, HOSTS[0]))
        assert [str(each.source) for each in ban] in ([HOSTS[0]], [])

    assert NETWORK not in {ban.net for ban in story.judge.bans_in_force(story.now)}


def test_hosts_banned_longer_ago_than_a_day_do_not_count():
    story = Story()
    banned_in(story, HOSTS[:3])

    assert [str(ban.source) for ban in story.bans(guesses(27 * HOUR, HOSTS[3]))] == [HOSTS[3]]


def test_network_where_somebody_logs_in_is_never_banned_whole():
    story = Story()
    story.logs_in(0, source="203.0.113.200")

    assert banned_in(story) == HOSTS


def test_network_that_delivers_mail_is_never_banned_whole():
    story = Story()
    story.delivers(0, source="203.0.113.200")

    assert banned_in(story) == HOSTS


@pytest.mark.parametrize(
    "policy",
    [
        replace(ENFORCE, allowlist=nets("203.0.113.200")),
        replace(ENFORCE, never_ban={Ours.RESOLVER: nets("203.0.113.200")}),
    ],
    ids=["allowed", "ours"],
)
def test_network_that_holds_one_address_that_is_spared_is_never_banned_whole(policy):
    assert banned_in(Story(policy)) == HOSTS


def test_unban_of_one_host_by_the_help_desk_takes_it_out_of_the_count():
    story = Story()
    banned_in(story, HOSTS[:3])
    story.judge.unban(address(HOSTS[0]), story.now)

    assert [str(ban.source) for ban in story.bans(guesses(3000, HOSTS[3]))] == [HOSTS[3]]


def test_forged_lines_ban_no_neighbourhood():
    story = Story()
    lines = [replace(each, evidence=Evidence.WEAK) for host in HOSTS * 3 for each in guesses(100, host)]

    assert story.bans(lines) == []


def test_observing_neighbourhood_says_once_that_it_would_ban():
    story = Story(replace(ENFORCE, watches=Watches(neighbourhood=Neighbourhood(DetectorMode.OBSERVE))))
    told = [
        each
        for place, host in enumerate([*HOSTS, "203.0.113.50"])
        for each in story.all_tell(guesses(600 * place, host))
        if each.source == NETWORK
    ]

    [verdict] = told
    assert not isinstance(verdict, Banned)
    assert verdict.would_ban
    assert verdict.reason.startswith("would be banned: 4 addresses of 203.0.113.0/24 were banned in 24 h")


def test_observing_policy_rehearses_the_ban_of_the_network():
    story = Story(replace(ENFORCE, mode=Mode.OBSERVE))
    banned_in(story)

    assert story.judge.rehearsed(NETWORK, story.now) is not None


def test_neighbourhood_that_is_off_bans_no_network():
    story = Story(replace(ENFORCE, watches=Watches(neighbourhood=Neighbourhood(DetectorMode.OFF))))

    assert banned_in(story) == HOSTS
