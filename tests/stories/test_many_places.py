"""One account is used from more networks than a person can be in."""

from dataclasses import replace

import pytest
from story import ANA, BOB, DAY, ENFORCE, HOUR, Story, address, line, stranger

from appliance.judge.detect.many_places import ManyPlaces
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Evidence, Noticed, Outcome, Severity

IN = {"rule": "audit-success", "outcome": Outcome.SUCCESS}


def roams(story: Story, count: int, at: float = 0.0, every: float = 1800.0, **facts) -> list[Noticed]:
    """Logs in from that many networks, one after the other."""
    return story.notices(line(at + each * every, source=stranger(each), **IN | facts) for each in range(count))


def test_sixth_new_network_within_six_hours_is_told():
    story = Story()
    assert roams(story, 5) == []

    assert roams(story, 1, at=3 * HOUR) == []  # where it is known by now
    assert story.notices([line(3 * HOUR, source=stranger(5), **IN)]) == [
        Noticed(
            "many-places",
            ANA,
            "ana@example.com logged in from 6 networks in 6 h where it was never seen (limit 5), "
            "198.18.5.0/24 the latest",
            Severity.WARNING,
            address(stranger(5)),
            ANA,
        )
    ]


def test_it_is_told_once_in_six_hours():
    assert len(roams(Story(), 10, every=600)) == 1


def test_networks_of_habit_are_not_counted():
    story = Story()
    roams(story, 5)

    assert story.notices(line(DAY + each * 60, source=stranger(each), **IN) for each in range(10)) == []


def test_many_addresses_of_one_mobile_network_are_one_place():
    story = Story()
    told = story.notices(line(each * 60, source=f"203.0.113.{each}", **IN) for each in range(1, 20))

    assert told == []


def test_traveller_who_needs_longer_than_six_hours_is_left_alone():
    assert roams(Story(), 15, every=HOUR * 1.3) == []


def test_two_people_are_two_accounts():
    story = Story()
    roams(story, 4)

    assert roams(story, 4, account=BOB) == []


def test_forged_logins_are_not_counted():
    assert roams(Story(), 10, evidence=Evidence.WEAK) == []


@pytest.mark.parametrize(
    ("mode", "severities"), [(DetectorMode.OBSERVE, [Severity.NOTICE]), (DetectorMode.OFF, [])], ids=str
)
def test_detector_that_observes_is_a_notice_and_off_says_nothing(mode, severities):
    story = Story(replace(ENFORCE, watches=Watches(many_places=ManyPlaces(mode))))

    assert [each.severity for each in roams(story, 8, every=600)] == severities
