from appliance.judge.sendings import MAILS, OURS, Sendings

HOUR = 3600.0
DAY = 24 * HOUR


def send(sendings, time, recipients, account="ana", mail="q1"):
    sendings.submitted(mail, account)
    return sendings.sent(mail, "envelope", recipients, time)


def test_mail_is_the_submitters_whatever_the_envelope_says():
    assert send(Sendings(), 0.0, 5) == "ana"


def test_mail_of_our_own_host_is_the_envelopes():
    assert send(Sendings(), 0.0, 5, account=OURS) == "envelope"


def test_mail_that_nobody_submitted_is_nobodys():
    assert Sendings().sent("q1", "envelope", 5, 0.0) is None


def test_bounce_of_our_own_host_is_nobodys():
    sendings = Sendings()
    sendings.submitted("q1", OURS)

    assert sendings.sent("q1", None, 1, 0.0) is None


def test_each_mail_counts_once():
    sendings = Sendings()
    send(sendings, 0.0, 5)

    assert sendings.sent("q1", "envelope", 5, 1.0) is None


def test_recipients_of_the_last_hour_are_counted():
    sendings = Sendings()
    for minute in range(90):
        send(sendings, minute * 60.0, 2)

    assert sendings.lately("ana", 89 * 60.0) == (120, None)
    assert sendings.lately("bob", 0.0) == (0, None)


def test_busiest_hour_of_the_days_before_is_remembered_for_two_weeks():
    sendings = Sendings()
    send(sendings, 0.0, 50)
    send(sendings, DAY, 7)

    assert sendings.lately("ana", DAY) == (7, 50)
    assert sendings.lately("ana", 3 * DAY) == (0, 50)
    send(sendings, 15 * DAY, 1)
    assert sendings.lately("ana", 15 * DAY) == (1, 7)


def test_what_our_hosts_hand_on_twice_counts_half():
    sendings = Sendings()
    for mail in ("q1", "q2"):
        sendings.submitted(mail, OURS)
        sendings.sent(mail, "ana", 10, 0.0)

    assert sendings.lately("ana", 0.0) == (10, None)


def test_mails_whose_second_line_never_comes_are_bounded_and_counted():
    sendings = Sendings()
    for number in range(MAILS + 3):
        sendings.submitted(f"q{number}", "ana")

    assert sendings.evicted == 3
    assert sendings.sent("q0", "envelope", 1, 0.0) is None
    assert sendings.sent("q3", "envelope", 1, 0.0) == "ana"
