"""The daily digest: what it tells, what it leaves out, and when it goes out."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import mails
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mails import DAY, HOUR, ROME, T, shown

from appliance.notify.mail.digest import ROWS, Attacked, Day, Doubtful, Quiet, Stale, digest, next_digest
from appliance.notify.mail.mail import WIDTH

EUROPE = ZoneInfo("Europe/Rome")
TEXTS = st.text(st.characters(), max_size=80)


def text_of(**facts: object) -> str:
    return shown(digest(Day(T - DAY, T, **facts), ROME))  # type: ignore[arg-type]


def test_a_quiet_day_is_six_lines_at_most():
    letter = digest(Day(T - DAY, T, in_force=2, dropped=9, lines=1000, read=10), ROME)

    assert letter.subject == "Daily digest: a quiet day"
    assert len(letter.lines) <= 6
    assert letter.lines[0] == "The day until 2026-11-19 07:13 CET on gateway gw1; nothing needs you."
    assert "  Banned    0 sources; 2 are banned now" in letter.lines


def test_a_day_with_everything_says_so_in_its_subject_and_fits_80_columns():
    letter = mails.a_day()

    assert letter.subject == (
        "Daily digest: 278 bans, 1 quiet sender, 2 accounts attacked, 2 old passwords, 2 doubtful bans"
    )
    assert max(map(len, letter.lines)) <= WIDTH


def test_sections_without_content_are_left_out():
    assert "====" not in text_of(bans={"guessing": 1})
    assert text_of(conditions={"siege": "strangers besiege ana@example.com"}).count("====") > 0


def test_an_attacked_account_tells_failures_strangers_siege_and_lockout_budget():
    budget = "8 of 10 in 30 min (3 strangers)"
    text = text_of(attacked=(Attacked("ana@example.com", 1200, 1, budget, is_besieged=True),), attacked_in_all=12)

    assert "  ana@example.com  1,200 failures by 1 stranger, besieged\n    lockout budget used: 8 of 10 in" in text
    assert "  and 2 more" in text


def test_devices_with_an_old_password_stand_under_their_office():
    stale = [Stale("192.0.2.33", f"p{n}@example.com", ("imap", "eas"), 60, T - DAY, T - 60, 9) for n in range(2)]
    text = text_of(stale=(*stale, Stale("192.0.2.34", "o@example.com", ("imap",), 40, T - DAY, T - 7 * HOUR, 1)))

    assert "  192.0.2.33 (9 accounts log in there)\n    p0@example.com over imap, eas  60 failures since Wed" in text
    assert text.count("192.0.2.33") == 1
    assert "  192.0.2.34 (1 account logs in there)" in text
    assert "since Wed 18 Nov 07:13, last 19 Nov 00:13" in text


def test_a_doubtful_ban_that_still_stands_can_be_lifted_by_the_command_beside_it():
    bans = (
        Doubtful("192.0.2.1", "siege", T - 900, T - 60, ("a",)),
        Doubtful("192.0.2.2", "siege", T - 900, T + 60, ("b",), lifted=T - 30),
        Doubtful("192.0.2.3", "siege", T - 900, T + 60, ("c",)),
    )
    text = text_of(doubtful=bans, doubtful_in_all=3)

    assert "  192.0.2.1  siege, 19 Nov 06:58, ended 19 Nov 07:12\n    - a" in text
    assert "  192.0.2.2  siege, 19 Nov 06:58, lifted 19 Nov 07:12\n    - b" in text
    assert text.count("zward unban") == 1
    assert "zward unban 192.0.2.3" in text


def test_no_command_where_no_doubtful_ban_stands_any_more():
    assert "unban" not in text_of(doubtful=(Doubtful("192.0.2.1", "siege", T - 90, T, ("a",)),), doubtful_in_all=1)


def test_a_sender_is_quiet_since_it_was_heard_or_was_never_heard():
    text = text_of(quiet=(Quiet("mbox1 (192.0.2.1)", T - 3 * DAY), Quiet("mbox2 (192.0.2.2)", None)))

    assert "  mbox1 (192.0.2.1): last heard 16 Nov 07:13, 3 d ago\n" in text
    assert "  mbox2 (192.0.2.2): not heard since zward started\n" in text


def test_what_the_store_could_not_tell_is_said():
    assert "Could not be found out\n======================\n  zward.db: disk I/O error\n" in text_of(
        faults=("zward.db: disk I/O error",)
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"lines": 5, "read": 0}, "  Read      5 lines, none about logins"),
        ({"lines": 1, "read": 1}, "  Read      1 line, 1 perhaps about logins, all recognised"),
        ({"lines": 1000, "read": 400, "unknown": 2}, "400 perhaps about logins, 99.5 % recognised"),
        ({"bans": {"siege": 1}, "in_force": 1, "lifted": 3}, "1 source (siege 1); 1 is banned now; people lifted bans"),
        ({"is_observing": True}, "  Observed  0 sources would have been banned; nobody was"),
    ],
)
def test_the_totals_in_words(facts, words):
    assert words in text_of(**facts)


def test_in_mode_observe_no_packets_are_dropped():
    assert "Dropped" not in text_of(is_observing=True, dropped=5)
    assert "  Dropped   5 packets of banned sources" in text_of(dropped=5)


@given(TEXTS, TEXTS, TEXTS)
def test_client_text_is_shown_as_text_and_long_lists_are_cut(account, sender, why):
    letter = digest(
        Day(
            *(T - DAY, T),
            attacked=(Attacked(account, 1, 1, why),) * (ROWS + 5),
            attacked_in_all=99,
            stale=(Stale("192.0.2.1", account, (why,), 1, T, T, 1),) * (ROWS + 5),
            doubtful=(Doubtful("192.0.2.1", why, T, T, (why,)),) * (ROWS + 5),
            doubtful_in_all=77,
            quiet=(Quiet(sender, None),) * (ROWS + 5),
            conditions={"siege": why},
        ),
        ROME,
    )

    assert all(line.isprintable() for line in letter.lines)
    assert len(letter.lines) < 40 + 20 * ROWS
    assert {"  and 89 more", "  and 67 more", "  and 5 more"} <= set(letter.lines)


# When


def moment(text: str, zone: ZoneInfo = EUROPE, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def local(time: float) -> str:
    return datetime.fromtimestamp(time, EUROPE).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-11-22 07:29:59", "2026-11-22T07:30+01:00"),
        ("2026-11-22 07:30:00", "2026-11-23T07:30+01:00"),
        ("2026-11-22 23:00:00", "2026-11-23T07:30+01:00"),
        ("2026-03-28 12:00:00", "2026-03-29T07:30+02:00"),
        ("2026-10-24 12:00:00", "2026-10-25T07:30+01:00"),
    ],
)
def test_it_comes_at_its_time_of_the_day_in_summer_and_in_winter(now, following):
    assert local(next_digest("07:30", EUROPE, moment(now))) == following


def test_a_time_that_the_day_skips_comes_an_hour_later():
    assert local(next_digest("02:30", EUROPE, moment("2026-03-29 01:00"))) == "2026-03-29T03:30+02:00"
    after = moment("2026-03-29 03:30")
    assert local(next_digest("02:30", EUROPE, after)) == "2026-03-30T02:30+02:00"


def test_of_a_time_that_the_day_has_twice_the_first_counts():
    first = moment("2026-10-25 02:30")
    assert next_digest("02:30", EUROPE, moment("2026-10-25 01:00")) == first
    assert local(next_digest("02:30", EUROPE, first)) == "2026-10-26T02:30+01:00"
    assert local(next_digest("02:30", EUROPE, moment("2026-10-25 02:29", fold=1))) == "2026-10-26T02:30+01:00"


@pytest.mark.parametrize("zone", ["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"])
@pytest.mark.parametrize("at", ["00:00", "01:45", "02:15", "02:30", "23:59"])
def test_in_a_year_it_comes_once_on_each_day(zone, at):
    where = ZoneInfo(zone)
    times = [next_digest(at, where, datetime(2025, 12, 31, 12, tzinfo=UTC).timestamp())]
    while len(times) < 370:
        times.append(next_digest(at, where, times[-1]))

    days = [datetime.fromtimestamp(each, where).date() for each in times]
    assert all(after - before == timedelta(days=1) for before, after in pairwise(days))


@given(st.floats(1.6e9, 2e9), st.integers(0, 23), st.integers(0, 59), st.sampled_from(["Europe/Rome", "UTC"]))
def test_the_next_is_always_ahead_and_within_25_hours(now, hour, minute, zone):
    ahead = next_digest(f"{hour:02}:{minute:02}", ZoneInfo(zone), now) - now

    assert 0 < ahead <= 25 * 3600
