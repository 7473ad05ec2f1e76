"""Mails that people read: what happened, where, since when, what to do; and whatever a client typed does nothing."""

import re
from email import message_from_bytes
from email.policy import default
from zoneinfo import ZoneInfo

import mails
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mails import ANA, ENVELOPE, FOUR, GUESSER, ROME, T, sent, shown

from appliance.address import parse_network
from appliance.metrics.declared import CHANNELS
from appliance.model import Ban, Banned, Noticed, Severity, Watched
from appliance.notify.advice import ADVICE
from appliance.notify.mail.batching import Batching
from appliance.notify.mail.mail import SUBJECT, WIDTH, Letter, Place, at_once, batch, message, trial, wire, wrapped

HOSTILE = "a\r\nBcc: x@example.net\r\n\r\n\x1b[2J\u202eb\ud800 $(reboot)"
TEXTS = st.text(st.characters(), max_size=300)
"""Lone surrogates included, which stand for bytes that are no UTF-8."""


def urgent(*notices: Noticed) -> Letter:
    it = Batching(Severity.NOTICE, 60, 300, 900)
    for each in notices:
        it.tell(each, T)
    return at_once(it.urgent.take(T + 2), ROME)


def batched(*told: Banned | Watched | Noticed) -> Letter:
    it = Batching(Severity.CRITICAL, 60, 300, 900)
    for each in told:
        it.tell(each, T)
    return batch(it.batch.take(T + 300), ROME)


def test_the_docs_show_mails_as_they_are():
    text = mails.PAGE.read_text(encoding="utf-8")

    assert mails.named(text) == set(mails.MAILS)
    assert mails.page(text) == text, "python tests/mails.py writes them anew"


def test_a_break_in_names_what_where_since_when_and_what_to_do():
    text = shown(urgent(mails.BREAK_IN))

    assert text.startswith("Subject: [zward gw1] A stranger seems to know a password: 203.0.113.9 at ana@example.com\n")
    for line in (
        "  What         203.0.113.9, a stranger, got in at ana@example.com over imap:",
        "  Source       203.0.113.9",
        "  Account      ana@example.com",
        "  Gateway      gw1",
        "  Since        2026-11-19 07:13 CET",
        "       zward account ana@example.com",
        "  https://zward.example/docs/runbooks/ZwardBreakIn.md",
    ):
        assert line in text.splitlines()


def test_the_headers_say_that_a_machine_wrote_it_and_what_about():
    mail = sent(urgent(mails.BREAK_IN))

    assert (mail["From"], mail["To"]) == ("zward <zward@gw1.example.com>", "postmaster@example.com")
    assert mail["Date"] == "Thu, 19 Nov 2026 07:13:00 +0100"
    assert mail["Message-ID"] == "<5f1c0a.zward@gw1.example.com>"
    assert (mail["Auto-Submitted"], mail["X-Zward-Detector"]) == ("auto-generated", "break-in")
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content_charset() == "utf-8"


@pytest.mark.parametrize(
    ("notice", "subject", "facts"),
    [
        (FOUR[0], "203.0.113.9 at ana@example.com", ("  Source       203.0.113.9", "  Account      ana@example.com")),
        (FOUR[1], "ana@example.com", ("  Last source  203.0.113.9", "  Account      ana@example.com")),
        (FOUR[2], "203.0.113.9", ("  Source       203.0.113.9", "  Last account ana@example.com")),
        (FOUR[3], "the whole site", ("  Last source  203.0.113.9", "  Last account ana@example.com")),
    ],
    ids=["address and account", "account", "address", "all"],
)
def test_each_of_zmauditswatchs_four_names_address_and_account(notice, subject, facts):
    for letter in (urgent(notice), batched(notice)):
        text = shown(letter)
        assert f"Subject: [zward gw1] Many failed logins within a minute: {subject}\n" in text
        assert set(facts) <= set(text.splitlines())
        assert "zward why 203.0.113.9" in text


def test_several_of_one_kind_have_one_subject_and_one_advice():
    text = shown(batched(*FOUR))

    assert "Many failed logins within a minute: 203.0.113.9 at ana@example.com, and 3 more" in text.splitlines()[0]
    assert text.count("What to do, for the first of 4") == 1


def test_several_kinds_are_counted_in_the_subject_and_each_has_its_advice():
    outage = Noticed("outage", "site", "25 familiar sources failed", Severity.CRITICAL)
    letter = urgent(mails.BREAK_IN, outage)

    assert letter.subject == "2 alerts: A stranger seems to know a password; Logins fail for everybody"
    assert letter.detectors == ("break-in", "outage")
    assert shown(letter).count("\nWhat to do\n") == 2


def test_what_is_over_says_how_long_it_lasted_and_asks_for_nothing():
    it = Batching(Severity.CRITICAL, 60, 300, 900)
    it.tell(Noticed("outage", "site", "nobody gets in", Severity.CRITICAL), T)
    it.urgent.take(T + 2)
    it.tell(Noticed("outage", "site", "logins are as usual again", over=True), T + 1200)
    text = shown(at_once(it.urgent.take(T + 1203), ROME))

    assert text.startswith("Subject: [zward gw1] Over: Logins fail for everybody\n")
    assert "  Lasted       from 2026-11-19 07:13 CET to 2026-11-19 07:33 CET" in text.splitlines()
    assert "What to do" not in text


def test_a_notice_that_goes_on_says_since_when_and_when_last():
    it = Batching(Severity.CRITICAL, 60, 300, 900)
    it.tell(mails.BREAK_IN, T)
    it.urgent.take(T + 2)
    it.tell(mails.BREAK_IN, T + 3600)

    text = shown(at_once(it.urgent.take(T + 3602), ROME))
    assert "  Since        2026-11-19 07:13 CET, last 2026-11-19 08:13 CET" in text.splitlines()


def test_a_ban_is_one_line_with_address_end_and_accounts():
    many = tuple(f"user{number}@example.com" for number in range(10))
    letter = batched(
        Banned(Ban(GUESSER, T, T + 1800, "guessing", ""), ("a@b.example",)),
        Banned(Ban(parse_network("198.51.100.0/24"), T, T + 86400, "guessing", ""), many),
        Banned(Ban(parse_network("192.0.2.9"), T, T + 86400, "neighbourhood", "")),
    )
    lines = shown(letter).splitlines()

    assert lines[0] == "Subject: [zward gw1] 3 sources banned"
    assert "guessing: Passwords are being guessed (2)" in lines
    assert "  203.0.113.9      until 19 Nov 07:43  a@b.example" in lines
    assert "  198.51.100.0/24  until 20 Nov 07:13  user0@example.com and 9 more" in lines
    assert "  192.0.2.9  until 20 Nov 07:13" in lines


def test_in_mode_observe_it_says_that_nobody_was_banned():
    reason = "would be banned: 6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over imap"
    text = shown(batched(Watched(GUESSER, "guessing", reason, would_ban=True)))

    assert text.startswith("Subject: [zward gw1] 1 source would have been banned\n")
    assert "zward observes: nobody of them was banned." in text
    assert "zward unban" not in text


def test_a_flood_shows_fifty_bans_and_counts_the_others_by_detector():
    text = shown(mails.a_flood())

    assert text.startswith("Subject: [zward gw1] 100,000 sources banned\n")
    assert len(re.findall(r"^  198\.1[89]\.", text, re.MULTILINE)) == 50
    assert "\nand 99,950 more, by detector: guessing 59,975, siege 39,975\n" in text


def test_a_flood_of_notices_is_ten_in_full_fifty_in_a_line_and_the_rest_in_numbers():
    notices = [
        Noticed("break-in", f"{n}@example.com", f"about {n}@example.com", Severity.CRITICAL) for n in range(5000)
    ]
    letter = urgent(*notices)
    text = shown(letter)

    assert letter.subject.startswith("5,000 alerts: ")
    assert text.count("\n  What ") == 10
    assert text.count("A stranger seems to know a password: about") == 50
    assert "and 4,940 more, by detector: break-in 4,940" in text


@pytest.mark.parametrize("detector", [*ADVICE, "of tomorrow"])
def test_a_command_stands_on_a_line_of_its_own_and_no_line_is_too_long(detector):
    notice = Noticed(detector, f"{ANA} from {GUESSER}", f"of {ANA} from {GUESSER}", Severity.CRITICAL, GUESSER, ANA)
    _, _, *lines = shown(urgent(notice)).partition("\n\n  What ")[2].splitlines()
    assert len(lines) > 8
    for line in lines:
        command = re.search(r"\bzward (?:why|account|unban|ban|status|bans|doctor)\b", line)
        assert len(line) <= WIDTH or (command and line.startswith("       "))
        assert not command or line.startswith("       zward ") or "then zward" in line


def test_a_reason_is_wrapped_but_an_address_stays_whole():
    long = f"{'x' * 90}@example.com"

    assert wrapped(f"who is {long}?") == ["who is", f"{long}?"]
    assert wrapped("2001:db8::1 " * 20)[0] == " ".join(["2001:db8::1"] * 6)


def test_a_long_subject_stays_on_one_line():
    raw = wire(sent(Letter("x " * 60, ("text",))))

    assert b"\r\nSubject: [zward gw1] x x" in raw


def test_text_that_is_not_ascii_is_sent_in_seven_bits_and_read_as_it_was():
    mail = sent(urgent(Noticed("break-in", "jörg@example.com", "at jörg@example.com", account="jörg@example.com")))
    raw = wire(mail)

    assert raw.isascii()
    read = message_from_bytes(raw, policy=default)
    assert "jörg@example.com" in read["Subject"]
    assert "  Account      jörg@example.com" in read.get_content()


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_nothing_that_a_client_typed_adds_a_header_or_acts_on_a_terminal(account, subject, reason, host):
    place = Place(host, ZoneInfo("Europe/Rome"), "https://zward.example/docs/runbooks")
    notice = Noticed("break-in", subject, reason, Severity.CRITICAL, GUESSER, account)
    it = Batching(Severity.CRITICAL, 60, 300, 900)
    it.tell(notice, T)
    it.tell(Banned(Ban(GUESSER, T, T + 60, "guessing", reason), (account, account)), T)
    it.tell(Watched(GUESSER, "guessing", reason, would_ban=True), T)
    for letter in (at_once(it.urgent.take(T), place), batch(it.batch.take(T), place), trial(place)):
        raw = wire(message(letter, ENVELOPE, place, T, "key"))
        assert raw.isascii()
        read = message_from_bytes(raw, policy=default)
        assert set(read.keys()) <= {
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Zward-Detector"),
            *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
        }
        assert len(read.keys()) == len(set(read.keys()))
        assert (read["To"], read["From"]) == ("postmaster@example.com", "zward <zward@gw1.example.com>")
        assert len(str(read["Subject"])) <= SUBJECT
        assert all(letter.isprintable() for letter in str(read["Subject"]))
        assert not [letter for letter in read.get_content() if not letter.isprintable() and letter not in "\r\n"]
        assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_a_hostile_name_is_shown_as_text_in_a_command_that_can_be_pasted():
    text = shown(urgent(Noticed("break-in", "x", "y", Severity.CRITICAL, GUESSER, HOSTILE)))

    command = next(line for line in text.splitlines() if line.startswith("       zward account "))
    assert command.startswith("       zward account 'a\\u{d}\\u{a}Bcc: x@example.net")
    assert command.endswith("$(reboot)'")


def test_the_test_mail_says_that_nothing_is_to_be_done():
    assert "Nothing is to be done." in shown(trial(ROME))
    assert "email" in CHANNELS
