"""Lines that look like logins and that no rule knows."""

from time import process_time

import pytest
from oldlogs import NOON

from appliance.read.reader import Fact
from appliance.read.syslog import parse
from appliance.replay.unparsed import OTHERS, PROGRAMS, SAMPLES, Unparsed, shape_of


def fact(text: str, app: str = "dovecot", **changes) -> Fact:
    return Fact(parse(f"<38>May  6 12:00:00 mx1 {app}: {text}".encode(), NOON), None, "no rules", **changes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"login of ana@example.com failed", b"login of bob@example.org failed"),
        (b"x 192.0.2.1:44 SASL", b"x 2001:db8::1:45 SASL"),
        (b"2024-05-06 INFO [a] [ip=1;] imap - login 7", b"2025-05-06 WARN [b] [] imap - login 8"),
        (b'typed "ana", login', b'typed "bob", login'),
        (b"cmd=Auth; account=ana; error=x", b"cmd=Auth; account=bob; error=y"),
    ],
)
def test_lines_of_one_kind_have_one_shape(one, other):
    assert shape_of(one) == shape_of(other)


def test_lines_of_two_kinds_have_two():
    assert shape_of(b"login failed for ana@example.com") != shape_of(b"login begun for ana@example.com")


def test_each_program_is_shown_by_a_few_lines_of_different_shape():
    unparsed = Unparsed(())
    for number in range(100):
        unparsed.add(fact(f"login {number} of kind {'abcdefghijklmnop'[number % 16]}"))

    (unknown,) = unparsed.programs.values()
    assert unknown.lines == 100
    assert len(unknown.samples) == SAMPLES


def test_what_rules_leave_alone_is_left_alone():
    unparsed = Unparsed([shape_of(b"login of ana@example.com must change password")])
    unparsed.add(fact("login of bob@example.com must change password"))
    unparsed.add(fact("a stack trace: login", is_readable=False))

    assert unparsed.programs == {}


def test_a_sender_that_invents_programs_fills_nothing():
    unparsed = Unparsed(())
    for number in range(10_000):
        unparsed.add(fact("login", app=f"p{number}"))

    assert len(unparsed.programs) == PROGRAMS + 1
    assert unparsed.programs[OTHERS].lines == 10_000 - PROGRAMS


def test_a_sample_acts_on_no_terminal_and_is_short():
    unparsed = Unparsed(())
    unparsed.add(fact("login \x1b[2J" + "x" * 5000))

    (sample,) = unparsed.programs["dovecot"].samples.values()
    assert sample.isprintable()
    assert len(sample) <= 200


@pytest.mark.parametrize(
    "text", [b"a" * 65536, b"[" * 65536, b'"' * 65536, b"=" * 65536, b"<a" * 32768, b"] a - " * 9999]
)
def test_the_shape_of_a_hostile_line_costs_little(text):
    begun = process_time()
    for _ in range(100):
        shape_of(text)

    assert (process_time() - begun) / 100 < 0.002
