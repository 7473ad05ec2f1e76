"""An account whose password somebody has: it sends to more people in an hour than it did in weeks."""

from dataclasses import replace

import pytest
from story import ANA, DAY, ENFORCE, Story, line, notices

from appliance.judge.detect.outbound import Outbound
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Noticed, Outcome, Protocol, Severity

SMTP = {"protocol": Protocol.SMTP, "source": None}


def sends(story: Story, at: float, recipients: int, account: str = ANA, mail: str | None = None) -> list[Noticed]:
    """Submits one mail with its password, and Postfix takes it on."""
    name = mail or f"mx1/{at}"
    return story.notices(
        [
            line(
                at, rule="postfix-sasl-in", outcome=Outcome.SUCCESS, account=account, mail=name, protocol=Protocol.SMTP
            ),
            line(
                at + 1,
                rule="postfix-queued",
                outcome=Outcome.MAIL_SENT,
                account="forged@example.org",
                mail=name,
                count=recipients,
                **SMTP,
            ),
        ]
    )


def test_more_than_two_hundred_recipients_in_an_hour_wake_somebody():
    story = Story()
    for minute in range(4):
        assert sends(story, minute * 60, 50) == []

    assert sends(story, 300, 1) == [
        Noticed(
            "outbound",
            ANA,
            "ana@example.com: mail to 201 recipients in 1 h (limit 200)",
            Severity.CRITICAL,
            account=ANA,
        )
    ]
    assert sends(story, 310, 50) == []


def test_ten_times_the_busiest_hour_of_the_last_days_wakes_somebody():
    story = Story()
    for day in range(3):
        sends(story, day * DAY, 5)

    [notice] = sends(story, 4 * DAY, 51)

    assert notice.reason == (
        "ana@example.com: mail to 51 recipients in 1 h, over 10 times its busiest hour of late (5)"
    )


def test_newsletter_that_always_goes_to_a_hundred_and_fifty_is_nothing_to_tell():
    story = Story()

    assert [sends(story, week * 7 * DAY, 150) for week in range(4)] == [[]] * 4


def test_webmail_that_our_own_host_submits_counts_for_the_owner_of_the_envelope_and_once():
    """The filter hands each mail back as a second one."""
    story = Story()
    told = []
    for each in range(3):
        for passing in ("in", "back"):
            mail = f"mx1/{each}{passing}"
            told += story.all_tell(
                [
                    line(each, rule="postfix-client", outcome=Outcome.MAIL_ACCEPTED, account=None, mail=mail, **SMTP),
                    line(each, rule="postfix-queued", outcome=Outcome.MAIL_SENT, mail=mail, count=67, **SMTP),
                ]
            )

    assert [each.reason for each in notices(told)] == ["ana@example.com: mail to 201 recipients in 1 h (limit 200)"]


def test_mail_from_outside_is_nobodys():
    """Whoever writes to us may put any sender on the envelope."""
    story = Story()

    told = story.notices(
        line(each, rule="postfix-queued", outcome=Outcome.MAIL_SENT, mail=f"mx1/{each}", count=90, **SMTP)
        for each in range(10)
    )

    assert told == []


def test_spammer_with_a_forged_envelope_is_told_of_by_the_account_that_he_logged_in_with():
    assert [notice.account for notice in sends(Story(), 0, 500)] == [ANA]


@pytest.mark.parametrize(
    ("mode", "severities"), [(DetectorMode.OBSERVE, [Severity.NOTICE]), (DetectorMode.OFF, [])], ids=str
)
def test_detector_that_observes_is_a_notice_and_off_says_nothing(mode, severities):
    story = Story(replace(ENFORCE, watches=Watches(outbound=Outbound(mode))))

    assert [each.severity for each in sends(story, 0, 500)] == severities
