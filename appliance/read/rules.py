"""Rules name what happened: a pattern over the text that a decoder has laid bare, and an outcome.

A rule set is a value: built once from the rule files, swapped whole at reload.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache

from appliance.model import Evidence, Message, Outcome, Protocol
from appliance.read.decode import access, jetty, nginx, postfix, saslauthd, sshd, zimbra
from appliance.read.decode.reading import Decoded
from appliance.read.origin import Trust

Decode = Callable[[Message, Trust, tzinfo], Decoded]

DECODERS: Mapping[str, Decode] = {
    "zimbra": zimbra.decode,
    "postfix": postfix.decode,
    "saslauthd": saslauthd.decode,
    "nginx": nginx.decode,
    "access": access.decode,
    "jetty": jetty.decode,
    "sshd": sshd.decode,
}

FIELDS = frozenset({"source", "account", "protocol", "count", "mail"})
"""What a pattern may name: the address, the account, Zimbra's word for the protocol, how many events, and Postfix's
queue id of a mail."""

LITERAL_BYTES = 6
"""The shortest literal that may wake the sieve; shorter ones hit everywhere."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of line in one program's log."""

    id: str
    pattern: re.Pattern[bytes]
    outcome: Outcome
    literals: tuple[bytes, ...]
    """Every line of this kind holds one of these, as it stands in the frame; they wake the sieve. None where such
    lines change nothing: they are recognised by `explain` alone."""
    logger: bytes | None = None
    levels: tuple[bytes, ...] = ()
    protocol: Protocol | None = None
    """Where neither the line's structure nor the pattern tells it."""
    evidence: Evidence = Evidence.STRONG
    """The most that this kind of line can be; a program's own evidence can lower it."""
    needed_by: tuple[str, ...] = ()
    """The detectors that such lines are read for, where that is not nearly all of them."""

    def hears(self, logger: bytes, level: bytes) -> bool:
        """Whether lines of this logger and level can be of this kind."""
        return self.logger in (None, logger) and (not self.levels or level in self.levels)


@dataclass(frozen=True, slots=True)
class Program:
    """The rules of one logging program, and how its lines are decoded."""

    stem: str
    """Name of the rule file."""
    decoder: str
    senders_evidence: Mapping[str, Evidence]
    """Syslog tag (`postfix/*/smtpd`: a shell pattern) → what its lines are worth as evidence."""
    rules: tuple[Rule, ...]

    def evidence_of(self, app: str) -> Evidence | None:
        """What lines of this tag are worth; None where the tag is not of this program."""
        if exact := self.senders_evidence.get(app):
            return exact
        return next((e for tag, e in self.senders_evidence.items() if "*" in tag and fnmatchcase(app, tag)), None)

    def without(self, detectors: Collection[str]) -> "Program":
        """The same without the rules that only these detectors need."""
        rules = [rule for rule in self.rules if not rule.needed_by or not set(rule.needed_by) <= set(detectors)]
        return replace(self, rules=tuple(rules))


class Course:
    """What is done with the lines of one tag: decode, then try these rules in order."""

    def __init__(self, decode: Decode, rules: tuple[tuple[Rule, Evidence], ...]) -> None:
        self.decode = decode
        self._rules = rules
        self.rules_for = lru_cache(maxsize=256)(self._rules_for)
        """(logger, level) → the rules to try, each with what its lines are worth as evidence."""

    def evidence_of(self, rule: str) -> Evidence:
        """What lines that a rule of this name recognised are worth; weak where there is no such rule any more."""
        return next((evidence for each, evidence in self._rules if each.id == rule), Evidence.WEAK)

    def _rules_for(self, logger: bytes, level: bytes) -> tuple[tuple[Rule, Evidence], ...]:
        return tuple((rule, evidence) for rule, evidence in self._rules if rule.hears(logger, level))


class RuleSet:
    """All rules, found by the tag of a line."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.programs = tuple(programs)
        self.literals = _shortest({literal for rule in self for literal in rule.literals})
        self.course_of = lru_cache(maxsize=4096)(self._course_of)
        """Tag → course; cached, and bounded since a tag is the sender's to choose."""
        self.stem_of = lru_cache(maxsize=4096)(self._stem_of)
        """Tag → the rule file of its program, or None."""

    def __iter__(self) -> Iterator[Rule]:
        return (rule for program in self.programs for rule in program.rules)

    def __len__(self) -> int:
        return sum(len(program.rules) for program in self.programs)

    def without(self, stems: Collection[str] = (), detectors: Collection[str] = ()) -> "RuleSet":
        """The same without the rules of these files, and without those that only these detectors need.

        Their literals then wake the sieve no longer: a busy site's mails are many.
        """
        programs = [program for program in self.programs if program.stem not in stems]
        return RuleSet([program.without(detectors) for program in programs])

    def _stem_of(self, app: str) -> str | None:
        return next((program.stem for program in self.programs if program.evidence_of(app)), None)

    def _course_of(self, app: str) -> Course | None:
        found: list[tuple[Rule, Evidence]] = []
        decoder = None
        for program in self.programs:
            if evidence := program.evidence_of(app):
                decoder = program.decoder
                found += [(rule, min(evidence, rule.evidence, key=_worth)) for rule in program.rules]
        return Course(DECODERS[decoder], tuple(found)) if decoder else None


def _shortest(literals: set[bytes]) -> tuple[bytes, ...]:
    """Without those that hold another one: the shorter wakes the sieve for them too, and each hit costs 0.15 µs."""
    return tuple(sorted(lit for lit in literals if not any(o in lit for o in literals if o != lit)))


def _worth(evidence: Evidence) -> int:
    return 1 if evidence is Evidence.STRONG else 0


_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|[0-9]{1,3}|[A-Za-z])")
"""Escapes that do not stand for the character behind the backslash."""


def literal_of(pattern: str) -> bytes:
    """The longest run of plain characters that every match of `pattern` must hold; b"" where there is none.

    Reads only what stands outside groups, classes and repeats, so it errs on the short side.
    """
    runs: list[str] = [""]
    position, depth = 0, 0
    while position < len(pattern):
        char = pattern[position]
        step, plain = 1, None
        if char == "\\":
            escape = _ESCAPE.match(pattern, position)
            step, plain = (escape.end() - position, None) if escape else (2, pattern[position + 1])
        elif char == "[":
            step = _class_length(pattern, position)
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            return b""
        elif char not in "^$.*+?{}":
            plain = char
        elif char == "{":
            step = pattern.index("}", position) - position + 1
        if char in "*+?{" and depth == 0:
            runs[-1] = runs[-1][:-1]
        if plain is not None and depth == 0:
            runs[-1] += plain
        else:
            runs.append("")
        position += step
    return max(runs, key=len).encode()


def _class_length(pattern: str, start: int) -> int:
    position = start + 1
    if pattern[position : position + 1] == "^":
        position += 1
    if pattern[position : position + 1] == "]":  # as the first character it stands for itself
        position += 1
    while pattern[position] != "]":
        position += 2 if pattern[position] == "\\" else 1
    return position - start + 1
