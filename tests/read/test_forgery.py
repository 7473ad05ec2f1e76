"""No text of a client makes the reader blame an address that the client chose, wherever it stands in a line.

Decision 1: where client text can have shaped the structure there is no source. Decision 2: nginx.log and mailbox.log
can be forged whole by a line break, so text is put into them here without one.
"""

import pytest
from hostile import CLIENT, CLIENT6, LINES, PIECES, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.model import Outcome
from appliance.read.reader import Fact, Reader

READER = Reader(load_rules().rules, SAMPLE_TRUST)
NOW = 1_795_000_000.0

HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES), st.text(max_size=3)), max_size=12)


def read(name: str, hostile: str) -> list[Fact]:
    return [READER.read(frame, "192.0.2.10", NOW) for frame in frames(LINES[name], hostile)]


def blamed(fact: Fact) -> str | None:
    return str(fact.event.source) if fact.event and fact.event.source else None


@given(HOSTILE.map("".join))
@settings(max_examples=400, deadline=None)
def test_a_client_never_chooses_the_source(hostile):
    for name in LINES:
        for fact in read(name, hostile):
            assert blamed(fact) in (CLIENT, CLIENT6, None), name


@given(HOSTILE.map("".join))
@settings(max_examples=400, deadline=None)
def test_a_client_cannot_hide_where_its_text_stands_apart(hostile):
    for name, line in LINES.items():
        if line.is_plain:
            for fact in read(name, hostile):
                assert blamed(fact) == CLIENT, f"{name}: {fact.why}"


@pytest.mark.parametrize("name", LINES)
def test_harmless_text_leaves_each_line_what_it_is(name):
    """Else the properties above would hold for lines that nobody reads."""
    for fact in read(name, "ana"):
        assert fact.is_readable, fact.why
        if name == "cleanup, Subject":
            assert fact.event is None
        else:
            assert fact.event is not None, fact.why


NAMELESS = {"audit, X-Forwarded-Proto, empty context behind", "mailbox, suspended", "cleanup, Subject"}


@pytest.mark.parametrize("name", sorted(LINES.keys() - NAMELESS))
def test_harmless_text_leaves_the_client_where_a_line_names_one(name):
    expected = None if name.startswith("saslauthd") else CLIENT6 if "IPv6" in name else CLIENT

    assert {blamed(fact) for fact in read(name, "ana")} == {expected}


def test_an_imap_client_cannot_end_its_own_context():
    for fact in read("audit, IMAP ID, direct", "] [] security - x"):
        assert fact.event is not None
        assert (fact.event.outcome, blamed(fact)) == (Outcome.BAD_PASSWORD, CLIENT)


def test_blanks_do_not_make_a_cut_line_look_whole():
    tail = ", upstream: x (203.0.113.66:1->192.0.2.5:993) <=> (192.0.2.5:1->192.0.2.10:7993)"

    for fact in read("nginx, refused", tail + " " * 1900):
        assert (fact.event is not None, blamed(fact)) == (True, None)
        assert "may have lost its end" in fact.why
