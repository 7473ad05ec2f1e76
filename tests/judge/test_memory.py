from dataclasses import replace

import pytest
from story import ANA, BOB, DAY, ENFORCE, SOURCE, START, address

from appliance.judge.detect.campaign import LASTS, Campaign
from appliance.judge.detect.outage import Outage
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.judge.memory import OFFICE_FAILING, OFFICES, Grace, Memory
from appliance.model import Mode

HERE = address(SOURCE)


def memory(policy=ENFORCE):
    return Memory(policy, b"seed")


def office(*accounts):
    kept = memory()
    for account in accounts:
        kept.familiar.learn(HERE, account, START)
    return kept


def test_new_bans_are_written_where_the_mode_says():
    kept = memory()
    assert kept.book is kept.bans

    kept.policy = replace(ENFORCE, mode=Mode.OBSERVE)

    assert kept.book is kept.rehearsed


@pytest.mark.parametrize(
    ("accounts", "is_one"),
    [
        ((ANA, BOB), False),
        ((ANA, BOB, "cid@example.com"), True),
        ((ANA, BOB, "ana", "bob"), False),
        ((ANA, BOB, "cid"), True),
        (("ana", "bob", "cid"), True),
    ],
)
def test_office_is_where_three_people_log_in_by_whatever_name(accounts, is_one):
    assert office(*accounts).is_office(HERE, START) is is_one


def test_office_is_lost_for_a_day_with_more_than_five_failing_accounts_for_each_that_logs_in():
    kept = office(ANA, BOB, "cid@example.com")
    for number in range(15):
        kept.office(HERE).fails(f"user{number}", START)
    assert kept.is_office(HERE, START)

    kept.office(HERE).fails("user15", START)

    assert not kept.is_office(HERE, START)
    assert kept.is_office(HERE, START + DAY)


def test_accounts_that_fail_at_offices_and_offices_themselves_are_bounded():
    kept = memory()
    for number in range(OFFICE_FAILING + 10):
        kept.office(HERE).fails(str(number), START)
    assert kept.office(HERE).failed_since(0) == OFFICE_FAILING

    for number in range(OFFICES + 10):
        kept.office(address(f"10.0.{number // 256}.{number % 256}"))

    assert len(kept.offices) == OFFICES


def test_campaign_goes_on_for_an_hour_after_it_was_seen_unless_it_only_observes():
    kept = memory()
    assert not kept.in_campaign(START)

    kept.campaign_seen = START

    assert kept.in_campaign(START + LASTS - 1)
    assert not kept.in_campaign(START + LASTS)
    kept.policy = replace(ENFORCE, watches=Watches(campaign=Campaign(DetectorMode.OBSERVE)))
    assert not kept.in_campaign(START)


def test_outage_goes_on_for_its_window_after_it_was_seen_unless_it_only_observes():
    kept = memory()
    assert not kept.in_outage(START)

    kept.outage_seen = START

    assert kept.in_outage(START + 299)
    assert not kept.in_outage(START + 300)
    kept.policy = replace(ENFORCE, watches=Watches(outage=Outage(DetectorMode.OBSERVE)))
    assert not kept.in_outage(START)


def test_what_somebody_vouches_for_is_off_grace_and_out_of_its_neighbourhood():
    kept = memory()
    kept.grace[HERE.packed] = Grace(START + 90, ANA, "192.0.2.1")
    kept.neighbours.note(HERE, START)

    kept.forget(HERE)

    assert not kept.grace
    assert kept.neighbours.hosts(HERE.widened(24), 60, START) == []


def test_every_table_and_every_bound_begins_at_nothing():
    assert set(memory().tracked.values()) == {0}
    assert set(memory().evicted.values()) == {0}


def test_what_one_run_saved_another_takes_up():
    first, second = memory(), memory()
    first.attempts, first.campaign_seen = 7, START
    first.logins.attempts(HERE.packed)

    second.take_up(first.saved())

    assert (second.attempts, second.campaign_seen) == (7, START)
    assert len(second.logins) == 1
