"""Tables, facts and times as they stand on a terminal."""

import time

import pytest
from invoking import HOSTILE, acting

from appliance.cli.tables import in_words, moment, print_fact, print_table, stretch

LONG = "ticket 4711: the customer asked for it, and gave a reason that is far longer than a line of any terminal"
BANS = [
    ["203.0.113.7", "1 h 47 min", "guessing", LONG],
    ["2001:db8:1234:5678::/64", "29 d 23 h", "slow-guessing", "x"],
]
HEADINGS = ["address", "for another", "detector", "reason"]


@pytest.fixture
def eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_a_long_reason_folds_under_itself_and_nothing_else_does(eighty, capsys):
    print_table(HEADINGS, BANS)

    lines = capsys.readouterr().out.splitlines()
    column = lines[0].index("reason")
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].startswith("203.0.113.7 ")
    assert lines[3][:column].isspace()
    assert " ".join(line[column:] for line in lines[2:-1]) == LONG
    assert lines[-1] == "2001:db8:1234:5678::/64   29 d 23 h     slow-guessing   x"


def test_the_widest_address_leaves_room_for_a_reason(eighty, capsys):
    print_table(HEADINGS, [["2001:db8:1234:5678:9abc:def0:1234:5678", "29 d 23 h", "slow-guessing", "a b c"]])

    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_piped_a_row_is_one_line_however_long(piped, capsys):
    print_table(HEADINGS, [["203.0.113.7", "2 h", "operator", LONG * 20]])

    assert capsys.readouterr().out.splitlines()[-1].endswith(LONG)


def test_no_cell_acts_on_the_terminal(eighty, capsys):
    print_table(["network", "comment"], [["192.0.2.0/24", HOSTILE]])

    assert acting(capsys.readouterr().out) == []


def test_a_cell_is_text_and_neither_markup_nor_a_second_row(eighty, capsys):
    print_table(["network", "comment"], [["192.0.2.0/24", "[red]x[/red] :smile:\nsecond"]])

    assert capsys.readouterr().out.splitlines()[2:] == [r"192.0.2.0/24   [red]x[/red] :smile:\u{a}second"]


def test_a_fact_folds_under_itself(eighty, capsys):
    print_fact("observed", LONG)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  observed  ticket 4711")
    assert all(line.startswith(" " * 12) and len(line) <= 80 for line in lines[1:])


def test_a_fact_is_one_line_where_nobody_looks(piped, capsys):
    print_fact("why", LONG * 20)

    assert capsys.readouterr().out == f"  why       {LONG * 20}\n"


def test_a_fact_of_blanks_is_its_label(piped, capsys):
    print_fact("why", "  ")

    assert capsys.readouterr().out == "  why\n"


def test_a_fact_cannot_act_on_the_terminal(eighty, capsys):
    print_fact("line", HOSTILE * 9)

    assert acting(capsys.readouterr().out) == []


def test_times_are_those_of_this_terminal(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert moment("2026-11-21T20:49:00Z") == "2026-11-22 02:19:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_stretch_says_nothing_twice():
    day, later, next_day = "2026-11-21T10:00:00Z", "2026-11-21T10:05:00Z", "2026-11-23T10:00:00Z"

    assert stretch(day, day) == moment(day)
    assert stretch(day, later) == f"{moment(day)} to {moment(later)[11:]}"
    assert stretch(day, next_day) == f"{moment(day)} to {moment(next_day)}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (6420, "1 h 47 min"),
        (7200, "2 h"),
        (86400 + 59, "1 d"),
        (3 * 86400 + 7260, "3 d 2 h"),
    ],
)
def test_a_span_is_its_two_largest_units(seconds, words):
    assert in_words(seconds) == words
