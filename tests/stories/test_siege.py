"""Many strangers try one account, each a few times only. Zimbra would lock it, and its owner with it."""

from dataclasses import replace

from story import (
    ANA,
    BOB,
    ENFORCE,
    HOUR,
    SOURCE,
    START,
    Story,
    address,
    bans,
    line,
    nets,
    notices,
    stranger,
)

from appliance.judge.accounts import Lockout
from appliance.judge.detect.siege import Siege
from appliance.judge.detect.table import default_detectors
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Evidence, Mode, Noticed, Outcome, Protocol, Scope, Severity, Spared

HOME = "192.0.2.80"


def besieged(policy=ENFORCE, at: float = 0.0) -> Story:
    """Ana logs in at home as a rule, and five strangers just failed at her account."""
    story = Story(policy)
    story.logs_in(at, source=HOME)
    for number in range(5):
        story.fails(at + 60 + number * 60, source=stranger(number))
    return story


def without_siege(mode):
    return tuple(Siege(mode) if each.name == "siege" else each for each in default_detectors())


def test_fifth_stranger_within_an_hour_starts_a_siege_and_people_are_told():
    story = Story()
    for number in range(4):
        story.fails(number * 60, source=stranger(number))
    assert story.judge.besieged(story.now) == []

    told = story.tells(line(240, source=stranger(4)))

    assert told[0] == Noticed(
        "siege",
        ANA,
        "5 strangers failed at ana@example.com in 1 h; lockout budget used: 5 of 10 in 30 min (5 strangers)",
        Severity.WARNING,
        address(stranger(4)),
        ANA,
    )
    assert story.judge.besieged(story.now) == [ANA]
    assert notices(story.all_tell([line(241, source=stranger(5))]), "siege") == []


def test_two_strangers_who_use_half_the_lockout_budget_start_it_too():
    story = Story()
    for second, source in enumerate((stranger(0), stranger(0), stranger(1), stranger(1))):
        story.fails(second * 20, source=source)
    assert story.judge.besieged(story.now) == []

    story.fails(100, source=stranger(1))

    assert story.judge.besieged(story.now) == [ANA]


def test_one_stranger_alone_starts_none():
    story = Story()
    for second in range(5):
        story.fails(second * 20)

    assert story.judge.besieged(story.now) == []


def test_where_zimbra_never_locks_only_the_number_of_strangers_counts():
    story = Story(replace(ENFORCE, lockout=Lockout(max_failures=0)))
    for number in range(12):
        story.fails(number * 10, source=stranger(number % 3))

    assert story.judge.besieged(story.now) == []


def test_further_stranger_is_banned_at_its_second_failure():
    story = besieged()
    assert not isinstance(story.fails(400), Banned)

    verdict = story.fails(430)

    assert isinstance(verdict, Banned)
    assert verdict.ban.scope is Scope.LOGIN
    assert verdict.ban.step == 1
    assert verdict.reason == (
        "2 failures at a besieged account in 1 h (limit 2): 2 bad passwords on ana@example.com over imap; "
        "6 strangers tried that account"
    )


def test_stranger_with_one_try_and_no_login_is_banned_after_ninety_seconds():
    story = besieged()
    story.fails(400)
    assert bans(story.goes_by(489.9)) == []

    [ban] = bans(story.goes_by(492))

    assert ban.source == address(SOURCE)
    assert ban.reason == (
        "1 failure at a besieged account in 1 h (and no login within 90 s): 1 bad password on ana@example.com "
        "over imap; 6 strangers tried that account"
    )
    assert 0.9 * 2 * HOUR <= ban.ban.until - ban.ban.since <= 1.1 * 2 * HOUR


def test_botnet_of_fresh_addresses_has_one_guess_an_address():
    story = besieged()
    told = []
    for number in range(5, 200):
        told += story.all_tell([line(400 + number * 10, source=stranger(number))])
    told += story.goes_by(400 + 200 * 10 + 91)

    assert {ban.source for ban in bans(told)} == {address(stranger(number)) for number in range(5, 200)}


def test_network_where_people_log_in_is_kept_out_for_half_an_hour_only():
    story = besieged()
    story.logs_in(390, source="203.0.113.77", account=BOB)
    story.fails(400, source="203.0.113.78")

    verdict = story.fails(430, source="203.0.113.78")

    assert isinstance(verdict, Banned)
    assert verdict.ban.step == 0


def test_owner_who_mistypes_once_in_a_hotel_and_then_gets_in_is_not_banned_and_somebody_is_told():
    story = besieged()
    story.fails(400)

    told = story.all_tell([line(430, rule="audit-success", outcome=Outcome.SUCCESS)]) + story.goes_by(600)

    assert bans(told) == []
    assert [(each.detector, each.severity, each.reason) for each in notices(told)] == [
        (
            "break-in",
            Severity.CRITICAL,
            "203.0.113.9, a stranger, got in at ana@example.com over imap: strangers besiege the account",
        )
    ]


def test_owner_at_home_may_fail_as_often_as_he_likes():
    story = besieged()

    assert story.bans(line(400 + second, source=HOME) for second in range(0, 3000, 10)) == []


def test_colleague_in_the_office_who_mistypes_the_besieged_name_is_not_banned_by_the_siege():
    story = besieged()
    story.logs_in(390, account=BOB)
    story.fails(400)
    story.fails(410)

    assert bans(story.goes_by(600)) == []


def test_locked_account_that_everybody_is_refused_at_bans_no_stranger_by_siege():
    story = besieged()
    locked = {"rule": "audit-locked", "outcome": Outcome.ACCOUNT_LOCKED}
    story.fails(400, **locked)
    story.fails(410, **locked)

    assert bans(story.goes_by(600)) == []


def polls(at: float, source: str) -> list:
    """Ana's phone, whose password is right, looks for mail and tries to send some while Zimbra has her account locked.
    Postfix tells of a failure before audit.log says which."""
    sent = {"source": source, "protocol": Protocol.SMTP}
    locked = {"outcome": Outcome.ACCOUNT_LOCKED, "source": source}
    return [
        line(at, rule="audit-locked", **locked),
        line(at, rule="postfix-sasl", account=None, session=f"mx1/{at}", **sent),
        line(at, rule="audit-locked", protocol=Protocol.SMTP, **locked),
    ]


def test_botnet_that_has_the_account_locked_does_not_get_the_owner_banned_on_a_mobile_network():
    """Her address changes within the network of her provider: strangers at first sight, each of them."""
    for home, away in (
        ("203.0.113.80", [f"203.0.113.{number}" for number in range(100, 124)]),
        ("2001:db8:7:1::80", [f"2001:db8:7:{number}::80" for number in range(100, 124)]),
    ):
        story = Story()
        story.logs_in(0, source=home)
        told = []
        for minute in range(24 * 60):
            outcome = Outcome.BAD_PASSWORD if minute % 60 < 6 else Outcome.ACCOUNT_LOCKED  # Zimbra locks it for an hour
            told += story.all_tell(
                line(minute * 60, source=stranger(each), outcome=outcome) for each in (minute * 2, minute * 2 + 1)
            )
            if minute > 10 and minute % 5 == 0:
                told += story.all_tell(polls(minute * 60 + 1.0, away[minute // 60]))
        assert story.judge.besieged(story.now) == [ANA]

        banned = {ban.source for ban in bans(told)}

        assert len(banned) > 24 * 10
        assert not [each for each in banned if nets("203.0.113.0/24", "2001:db8:7::/48").touching(each)]


def test_guesser_who_lives_next_to_the_owner_falls_by_guessing():
    story = besieged()

    told = story.bans(line(400 + second * 100, source="192.0.2.81") for second in range(6))

    assert [ban.detector for ban in told] == ["guessing"]


def test_guesser_next_to_the_owner_does_not_excuse_himself_by_forging_that_the_account_is_locked():
    story = besieged()
    told = []
    for second in range(6):
        at = 400 + second * 100
        told += story.bans(
            [
                line(at, source="192.0.2.81"),
                line(
                    at,
                    source="192.0.2.81",
                    rule="mailbox-locked",
                    outcome=Outcome.ACCOUNT_LOCKED,
                    evidence=Evidence.WEAK,
                ),
            ]
        )

    assert [ban.detector for ban in told] == ["guessing"]


def test_siege_ends_after_an_hour_without_a_failure_of_a_stranger():
    story = besieged()
    last = story.now - START

    assert story.judge.besieged(START + last + HOUR - 1) == [ANA]
    assert story.judge.besieged(START + last + HOUR) == []
    story.fails(last + HOUR, source=stranger(9))
    assert bans(story.goes_by(last + HOUR + 100)) == []


def test_budget_names_who_used_it_up():
    story = besieged()
    story.fails(400, source=HOME)

    budget = story.judge.budget(ANA.upper(), story.now)

    assert str(budget) == "6 of 10 in 30 min (5 strangers, 1 known device)"
    assert budget.besieged_since == START + 300
    assert story.judge.budget("nobody@example.com", story.now) is None


def test_forged_line_alone_bans_nobody_in_a_siege_until_packets_prove_the_address():
    story = besieged()
    story.fails(400, evidence=Evidence.WEAK, rule="mailbox-bad")

    told = story.goes_by(500)

    assert bans(told) == []
    [doubted] = [each for each in told if getattr(each, "asks_proof", False)]
    assert doubted.reason == (
        "1 failure at a besieged account in 1 h (limit 1), but 1 of them from lines that a client can write: "
        "waits for proof that the address was here"
    )


def test_observing_siege_tells_and_bans_nobody():
    story = besieged(replace(ENFORCE, detectors=without_siege(DetectorMode.OBSERVE)))
    story.fails(400)

    verdict = story.fails(430)

    assert verdict.would_ban
    assert verdict.reason.startswith("would be banned: 2 failures at a besieged account in 1 h (limit 2)")
    assert bans(story.goes_by(600)) == []


def test_siege_that_is_off_tells_nothing():
    story = besieged(replace(ENFORCE, detectors=without_siege(DetectorMode.OFF)))

    assert story.judge.besieged(story.now) == []
    assert story.judge.budget(ANA, story.now).besieged_since is None


def test_observing_policy_rehearses_the_siege():
    story = besieged(replace(ENFORCE, mode=Mode.OBSERVE))
    story.fails(400)
    story.goes_by(500)

    assert story.judge.rehearsed(address(SOURCE), story.now).detector == "siege"
    assert story.judge.bans_in_force(story.now) == []


def test_allowlisted_monitor_with_a_wrong_password_is_spared():
    story = besieged(replace(ENFORCE, allowlist=nets(SOURCE)))
    story.fails(400)

    assert isinstance(story.fails(410), Spared)


def test_grace_that_a_queue_being_drained_would_give_late_bans_nobody():
    """What happened hours ago is no reason to ban now."""
    story = besieged()
    story.fails(400, now=400 + 2 * HOUR)

    assert bans(story.goes_by(400 + 2 * HOUR + 100)) == []


def test_besieger_that_goes_on_is_banned_at_all_ports_as_any_guesser():
    story = besieged()
    early = story.bans([line(HOUR / 2 + second, source="192.0.9.9") for second in range(2)])
    assert [(ban.detector, ban.ban.scope) for ban in early] == [("siege", Scope.LOGIN)]

    later = story.bans([line(HOUR / 2 + second, source="192.0.9.9") for second in range(2, 6)])

    assert [(ban.detector, ban.ban.scope) for ban in later] == [("guessing", Scope.ALL)]
