"""What the stories do not tell: that each thing is told of once, and that client text in it is harmless."""

from dataclasses import replace

import pytest
from story import ENFORCE, Story, line, notices

from appliance.judge.policy import Policy
from appliance.model import Evidence, Mode, Outcome, Protocol

OTP = {"rule": "audit-otp", "outcome": Outcome.SECOND_FACTOR_FAILED}


def test_wrong_second_factor_is_told_once_an_hour_for_each_account_and_source():
    story = Story()
    told = story.notices(line(each, account=f"user{each % 2}", **OTP) for each in range(4))

    assert [notice.subject for notice in told] == ["user0 from 203.0.113.9", "user1 from 203.0.113.9"]
    assert len(story.notices([line(3603, account="user0", **OTP)])) == 1


@pytest.mark.parametrize("account", ["\x1b[2Jroot", "a\nb", "‮evil", "x" * 5000])
def test_client_text_in_what_is_told_prints_on_one_line(account):
    story = Story()
    told = story.notices(
        [
            line(0, account=account, **OTP),
            *(line(each, account=account) for each in range(12)),
            line(60, account=account, outcome=Outcome.SUCCESS, protocol=Protocol.ADMIN),
        ]
    )

    assert len(told) > 3
    assert all((notice.reason + notice.subject).isprintable() and len(notice.reason) < 500 for notice in told)


def test_forged_success_at_the_admin_console_is_not_told():
    story = Story()

    assert story.notices([line(0, outcome=Outcome.SUCCESS, protocol=Protocol.ADMIN, evidence=Evidence.WEAK)]) == []


def test_observing_policy_tells_of_break_ins_as_an_enforcing_one_does():
    for policy in (ENFORCE, replace(ENFORCE, mode=Mode.OBSERVE), Policy()):
        story = Story(policy)
        story.all_tell(line(each) for each in range(5))

        assert len(notices(story.tells(line(60, outcome=Outcome.SUCCESS)), "break-in")) == 1


def test_sender_that_is_heard_by_frames_and_by_lines_is_heard_once():
    story = Story()
    assert story.judge.heard("192.0.2.1", 100, story.now) == []
    story.fails(0)

    assert story.judge.tracked["senders"] == 2
