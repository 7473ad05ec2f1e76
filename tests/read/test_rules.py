"""Rules and rule sets; and that the literal found in a pattern stands in everything the pattern matches."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.model import Evidence, Outcome
from appliance.read.decode import postfix, zimbra
from appliance.read.rules import Program, Rule, RuleSet, literal_of


def rule(
    name: str,
    literal: bytes = b"literal",
    *,
    logger: bytes | None = None,
    levels: tuple[bytes, ...] = (),
    evidence: Evidence = Evidence.STRONG,
) -> Rule:
    return Rule(name, re.compile(b"^x"), Outcome.BAD_PASSWORD, (literal,), logger, levels, evidence=evidence)


def program(stem: str, tags: dict[str, Evidence], *rules: Rule, decoder: str = "zimbra") -> Program:
    return Program(stem, decoder, tags, rules)


STRONG, WEAK = Evidence.STRONG, Evidence.WEAK
RULES = RuleSet(
    [
        program("audit", {"zimbra-audit": STRONG, "mailboxd": WEAK}, rule("one"), rule("two", evidence=WEAK)),
        program("mailbox", {"mailboxd": WEAK}, rule("three")),
        program("smtpd", {"postfix/smtpd": STRONG, "postfix/*/smtpd": STRONG}, rule("four"), decoder="postfix"),
        program("screen", {"postfix/*": WEAK}, rule("five"), decoder="postfix"),
    ]
)


def rules_of(app: str) -> list[tuple[str, Evidence]]:
    course = RULES.course_of(app)
    return [(each.id, evidence) for each, evidence in course.rules_for(b"", b"")] if course else []


def test_a_line_gets_the_rules_of_every_program_that_has_its_tag_in_their_order():
    assert rules_of("mailboxd") == [("one", WEAK), ("two", WEAK), ("three", WEAK)]


def test_a_program_and_a_rule_can_each_lower_the_evidence():
    assert rules_of("zimbra-audit") == [("one", STRONG), ("two", WEAK)]
    assert rules_of("postfix/submission/smtpd") == [("four", STRONG), ("five", WEAK)]


def test_a_tag_may_be_a_shell_pattern():
    assert rules_of("postfix/smtpd") == [("four", STRONG), ("five", WEAK)]
    assert rules_of("postfix/cleanup") == [("five", WEAK)]


@pytest.mark.parametrize("app", ["", "postfix", "zimbra-audit2", "ZIMBRA-AUDIT", "*", "postfix\n"])
def test_another_tag_has_no_course(app):
    assert RULES.course_of(app) is None


def test_a_course_knows_the_decoder():
    audit, smtpd = RULES.course_of("zimbra-audit"), RULES.course_of("postfix/smtpd")
    assert audit is not None
    assert smtpd is not None
    assert (audit.decode, smtpd.decode) == (zimbra.decode, postfix.decode)


def test_a_rule_hears_its_own_logger_and_levels():
    deaf = rule("x", logger=b"security", levels=(b"WARN", b"INFO"))

    assert deaf.hears(b"security", b"INFO")
    assert not deaf.hears(b"security", b"ERROR")
    assert not deaf.hears(b"imap", b"WARN")
    assert rule("x").hears(b"", b"")


def test_only_rules_that_hear_a_line_are_tried():
    rules = RuleSet([program("audit", {"a": STRONG}, rule("one", logger=b"imap"), rule("two", levels=(b"WARN",)))])
    course = rules.course_of("a")
    assert course is not None

    assert [each.id for each, _ in course.rules_for(b"imap", b"INFO")] == ["one"]
    assert [each.id for each, _ in course.rules_for(b"pop", b"WARN")] == ["two"]


def test_of_two_literals_of_which_one_holds_the_other_the_shorter_wakes_the_sieve():
    rules = RuleSet(
        [program("p", {"a": STRONG}, rule("one", b"failed for ["), rule("two", b"authentication failed for ["))]
    )

    assert rules.literals == (b"failed for [",)
    assert len(rules) == 2


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        (r"^cmd=Auth; account=(?P<account>[^;]*+); error=failed;$", b"cmd=Auth; account="),
        (r"^disconnect from \[(?P<source>[0-9.]+)\]$", b"disconnect from ["),
        (r"^abcdef*ghi", b"abcde"),
        (r"^abcdef{2,3}ghi", b"abcde"),
        (r"^abcdef?+ghi", b"abcde"),
        (r"^(?:abcdefgh)?xyz$", b"xyz"),
        (r"^a\.b\\c\[d", rb"a.b\c[d"),
        (r"^ab\d\dcdef\s", b"cdef"),
        (r"^\x41bcdefg", b"bcdefg"),
        (r"^\101bcdefg", b"bcdefg"),
        (r"^[\]abcdefgh]x", b"x"),
        (r"^[]abcdefgh]x", b"x"),
        (r"^[^]abcdefgh]x", b"x"),
        (r"^[^\]abcdefgh]x", b"x"),
        (r"^abcdef|x", b""),
        (r"^(?:abcdef|x)y", b"y"),
        (r"^.*$", b""),
        (r"^größe", "größe".encode()),
    ],
)
def test_the_literal_is_the_longest_plain_run(pattern, literal):
    assert literal_of(pattern) == literal


PLAIN = st.sampled_from("abXY 09;=[](){}.*+?^$|\\\\-é,:").map(lambda char: (re.escape(char), char))
WORD = st.text("abcdefgh; =", min_size=1, max_size=8).map(lambda word: (word, word))
SPECIAL = st.sampled_from(
    [
        *(
            (".", "q"),
            (r"\d", "7"),
            (r"\S", "]"),
            (r"\x41", "A"),
            (r"\012", "\n"),
            (r"\]", "]"),
            ("(?!zzz)", ""),
            (r"\b", ""),
        ),
        *(
            ("[abc]", "b"),
            ("[^abc]", "]"),
            (r"[\]abcdef]", "c"),
            ("[]abcdef]", "]"),
            (r"[^\]abcdef]", "x"),
            (r"[\\\]ab]", "a"),
        ),
        *(("[a({|]", "{"), ("[0-9]", "4"), (r"[\[\]abc]", "[")),
    ]
)
REPEATS = st.sampled_from(
    [("*", 0), ("*", 3), ("+", 1), ("?", 0), ("?", 1), ("{2}", 2), ("{0,3}", 0), ("{1,}", 1), ("*?", 2), ("??", 0)]
)
ATOM = st.one_of(PLAIN, WORD, SPECIAL)


def grouped(inner):
    """Patterns with what they match: groups, alternatives, repeats around others."""
    return st.one_of(
        inner.map(lambda one: (f"({one[0]})", one[1])),
        inner.map(lambda one: (f"(?P<name>{one[0]})" if "(?P" not in one[0] else f"(?:{one[0]})", one[1])),
        st.tuples(inner, inner).map(lambda two: (f"(?:{two[0][0]}|{two[1][0]})", two[0][1])),
        st.tuples(inner, REPEATS).map(lambda pair: (f"(?:{pair[0][0]}){pair[1][0]}", pair[0][1] * pair[1][1])),
        st.lists(inner, max_size=3).map(joined),
    )


def joined(parts):
    return "".join(pattern for pattern, _ in parts), "".join(text for _, text in parts)


REPEATED = st.tuples(st.one_of(PLAIN, SPECIAL.filter(lambda one: one[1] != "")), REPEATS).map(
    lambda pair: (pair[0][0] + pair[1][0], pair[0][1] * pair[1][1])
)
CASES = st.lists(st.one_of(ATOM, REPEATED, st.recursive(ATOM, grouped, max_leaves=4)), min_size=1, max_size=7).map(
    joined
)


@given(CASES)
def test_whatever_a_pattern_matches_holds_its_literal(case):
    pattern, text = case
    if pattern.count("(?P<name>") > 1:
        pattern = pattern.replace("(?P<name>", "(")
    assume(re.fullmatch(pattern, text, re.DOTALL))

    assert literal_of(f"^{pattern}$") in text.encode()


def test_rules_that_nobody_needs_are_left_out_and_wake_the_sieve_no_longer():
    mails = Rule("mails", re.compile(b"^x"), Outcome.MAIL_SENT, (b": client=",), needed_by=("outbound", "harvesting"))
    rules = RuleSet([program("a", {"a": STRONG}, rule("logins"), mails)])

    assert [each.id for each in rules.without(detectors={"outbound"})] == ["logins", "mails"]
    without = rules.without(detectors={"outbound", "harvesting", "guessing"})
    assert [each.id for each in without] == ["logins"]
    assert without.literals == (b"literal",)
