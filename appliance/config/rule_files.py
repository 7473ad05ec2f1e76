"""Reads rules/*.toml into rules, and lets every rule prove itself on its own samples.

One file a logging program. Each rule carries lines that it must recognise and lines that it must not; a rule
without both does not load in `zward check`. The samples' environment: 192.0.2.0/24 and loopback are our own
hosts, 192.0.2.5 and 192.0.2.6 are proxies, 203.0.113.66 and 2001:db8:f00d::66 are written by attackers only.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.address import NetSet, parse_network
from appliance.config.detect import Detect
from appliance.config.schema import Config
from appliance.judge.detector import DetectorMode
from appliance.model import Evidence, Outcome, Protocol
from appliance.read.origin import Trust
from appliance.read.reader import Fact, Reader
from appliance.read.rules import DECODERS, FIELDS, LITERAL_BYTES, Program, Rule, RuleSet, literal_of

CANARIES = ("203.0.113.66", "2001:db8:f00d::66")
"""Addresses that stand in samples only where a client wrote them; a rule that blames one is forged."""

SAMPLE_TRUST = Trust(
    hosts=NetSet((parse_network("192.0.2.0/24"), parse_network("127.0.0.0/8"))),
    proxies=NetSet((parse_network("192.0.2.5"), parse_network("192.0.2.6"))),
)
_SAMPLE_NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC).timestamp()
_SAMPLE_SENDER = "192.0.2.10"

_FILE_KEYS = frozenset({"programs", "decoder", "reference", "parts", "rule"})
_RULE_KEYS = frozenset(
    {
        "id",
        "says",
        "logger",
        "level",
        "text",
        "outcome",
        "protocol",
        "evidence",
        "needed_by",
        "client_text",
        "literals",
        "wakes",
        "matches",
        "ignores",
    }
)
_MATCH_KEYS = frozenset({"line", "source", "account", "protocol", "count", "mail"})
_IGNORE_KEYS = frozenset({"line", "why"})
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
"""`(…)*+` fails to match where it should before Python 3.11.5 (CPython gh-106052); Debian 12 has 3.11.2."""
_GREEDY = re.compile(r"\.[*+](?!\+)")


class RuleError(Exception):
    """A rule file that cannot be used; the message says where, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A line kept with a rule, and what reading it must give."""

    rule: str
    number: int
    line: bytes
    expected: Mapping[str, Any] | None
    """None for a line that this rule must leave alone."""

    @property
    def kind(self) -> str:
        return "ignores" if self.expected is None else "matches"


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """All rules with their samples."""

    rules: RuleSet
    samples: tuple[Sample, ...]
    unproved: tuple[str, ...]
    """What a rule lacks to be proved, one sentence each."""


def rules_directory() -> Path:
    """Where the rules lie: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "rules"
    return inside if inside.is_dir() else package.parent / "rules"


def load_rules(directory: Path | None = None) -> RuleFiles:
    """Read every rule file of a directory. Raises RuleError on the first fault."""
    directory = directory or rules_directory()
    paths = sorted(directory.glob("*.toml"))
    if not paths:
        raise RuleError(f"{directory}: no rule files (*.toml)")
    programs, samples, unproved, seen = [], [], [], set[str]()
    for path in paths:
        table = _read(path)
        _check_keys(table, _FILE_KEYS, str(path))
        rules = []
        for entry in table.get("rule", ()):
            where = f"{path}: rule {entry.get('id', '(without id)')}"
            rule = _rule(entry, table.get("parts", {}), where)
            if rule.id in seen:
                raise RuleError(f"{where}: the id stands twice; ids are unique over all files")
            seen.add(rule.id)
            rules.append(rule)
            own = list(_samples(rule, entry, where))
            samples += own
            unproved += [f"{where}: {lack}" for lack in _lacks(entry, own)]
        programs.append(_program(path, table, rules))
    return RuleFiles(RuleSet(programs), tuple(samples), tuple(unproved))


def rules_for(config: Config, rules: RuleSet | None = None) -> RuleSet:
    """Of these rules, or else of all, those whose lines a configuration asks to judge. Raises RuleError.

    Not those of programs that it leaves out, nor those that are read for detectors alone that are off.
    """
    everything = load_rules().rules if rules is None else rules
    stems = () if config.sshd.enabled else ("sshd",)
    needed = {name for rule in everything for name in rule.needed_by}
    off = {name for name in needed if getattr(config.detect, name.replace("-", "_")).mode is DetectorMode.OFF}
    return everything.without(stems, off)


def prove(files: RuleFiles) -> list[str]:
    """Run every sample through the real reader; the faults found, in words."""
    reader = Reader(files.rules, SAMPLE_TRUST)
    return [*files.unproved, *(fault for sample in files.samples if (fault := sample_fault(sample, reader)))]


def sample_fault(sample: Sample, reader: Reader) -> str | None:
    """What reading a sample gives that it should not, in words; None where all is as it says."""
    where = f"rule {sample.rule}, {sample.kind} {sample.number}"
    fact = reader.read(sample.line, _SAMPLE_SENDER, _SAMPLE_NOW)
    if fact.event and fact.event.source and str(fact.event.source) in CANARIES:
        return f"{where}: blames {fact.event.source}, an address that only an attacker wrote"
    if sample.expected is None:
        if fact.event and fact.event.rule == sample.rule:
            return f"{where}: the rule matches a line that it must leave alone"
        return None
    if fact.event is None:
        return f"{where}: no rule matches it ({fact.why})"
    if fact.event.rule != sample.rule:
        return f"{where}: rule {fact.event.rule} matches it first"
    wakes = any(rule.literals for rule in reader.rules if rule.id == sample.rule)
    if wakes and not any(literal in sample.line for literal in reader.rules.literals):
        return f"{where}: no literal of the sieve occurs in it"
    told = _told(fact)
    return next(
        (
            f"{where}: {key} is {told[key]!r}; expected {value!r}"
            for key, value in sample.expected.items()
            if told[key] != value
        ),
        None,
    )


def _told(fact: Fact) -> dict[str, Any]:
    event = fact.event
    assert event is not None
    return {
        "source": str(event.source) if event.source else "none",
        "account": event.account or "none",
        "protocol": event.protocol.value,
        "count": event.count,
        "mail": event.mail or "none",
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise RuleError(f"{path}: {fault}") from fault


def _program(path: Path, table: Mapping[str, Any], rules: list[Rule]) -> Program:
    decoder = str(table.get("decoder"))
    if decoder not in DECODERS:
        raise RuleError(f"{path}: decoder is {decoder!r}; expected one of {', '.join(DECODERS)}")
    try:
        evidence = {tag: Evidence(worth) for tag, worth in table["programs"].items()}
    except (KeyError, AttributeError, ValueError) as fault:
        raise RuleError(f"{path}: programs must map syslog tags to strong or weak ({fault})") from fault
    return Program(path.stem, decoder, evidence, tuple(rules))


def _rule(entry: Mapping[str, Any], parts: Mapping[str, str], where: str) -> Rule:
    _check_keys(entry, _RULE_KEYS, where)
    for key in ("id", "text", "outcome"):
        if not isinstance(entry.get(key), str):
            raise RuleError(f"{where}: {key} is missing; expected a string")
    if not _ID.fullmatch(entry["id"]):
        raise RuleError(f"{where}: id must be lower-case words joined by hyphens")
    text: str = entry["text"]
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    levels = entry.get("level", [])
    try:
        return Rule(
            id=entry["id"],
            pattern=_pattern(text, where),
            outcome=Outcome(entry["outcome"]),
            literals=_literals(entry.get("literals"), text, where) if entry.get("wakes", True) else (),
            logger=entry["logger"].encode() if "logger" in entry else None,
            levels=tuple(level.encode() for level in ([levels] if isinstance(levels, str) else levels)),
            protocol=Protocol(entry["protocol"]) if "protocol" in entry else None,
            evidence=Evidence(entry.get("evidence", "strong")),
            needed_by=tuple(_detector(name) for name in entry.get("needed_by", ())),
        )
    except ValueError as fault:
        raise RuleError(f"{where}: {fault}") from fault


def _pattern(text: str, where: str) -> re.Pattern[bytes]:
    if not text.startswith("^"):
        raise RuleError(f"{where}: text must begin with ^; an unanchored pattern finds what a client wrote")
    try:
        pattern = re.compile(text.encode("utf-8"), re.DOTALL)
    except re.error as fault:
        raise RuleError(f"{where}: text does not compile: {fault}") from fault
    if unknown := set(pattern.groupindex) - FIELDS:
        raise RuleError(f"{where}: unknown field {', '.join(sorted(unknown))}; expected {', '.join(sorted(FIELDS))}")
    if _POSSESSIVE_GROUP.search(text):
        raise RuleError(f"{where}: a possessive group, )*+ or the like, does not match rightly before Python 3.11.5")
    before_source = text.partition("(?P<source>")[0] if "source" in pattern.groupindex else ""
    if _GREEDY.search(before_source):
        raise RuleError(f"{where}: .* or .+ stands before the source; client text could run over it")
    return pattern


def _detector(name: str) -> str:
    if name.replace("-", "_") not in Detect.model_fields:
        raise ValueError(f"needed_by names {name!r}, which is no detector")
    return name


def _literals(given: list[str] | None, text: str, where: str) -> tuple[bytes, ...]:
    literals = tuple(literal.encode() for literal in given) if given else (literal_of(text),)
    for literal in literals:
        if len(literal) < LITERAL_BYTES:
            raise RuleError(
                f"{where}: the sieve has only {literal.decode()!r} to look for, and needs {LITERAL_BYTES} bytes; text "
                "has no longer plain run outside groups: name the strings in literals = [...]"
            )
    return literals


def _samples(rule: Rule, entry: Mapping[str, Any], where: str) -> Iterator[Sample]:
    for number, sample in enumerate(entry.get("matches", ()), start=1):
        _check_keys(sample, _MATCH_KEYS, f"{where}, matches {number}")
        if "source" not in sample or "line" not in sample:
            raise RuleError(f'{where}, matches {number}: needs line and source (an address, or "none")')
        expected = {key: value for key, value in sample.items() if key != "line"}
        yield Sample(rule.id, number, sample["line"].encode(), expected)
    for number, sample in enumerate(entry.get("ignores", ()), start=1):
        _check_keys(sample, _IGNORE_KEYS, f"{where}, ignores {number}")
        if "why" not in sample or "line" not in sample:
            raise RuleError(f"{where}, ignores {number}: needs line and why")
        yield Sample(rule.id, number, sample["line"].encode(), None)


def _lacks(entry: Mapping[str, Any], samples: list[Sample]) -> Iterator[str]:
    if not any(sample.expected for sample in samples):
        yield "no sample that it matches"
    if not any(sample.expected is None for sample in samples):
        yield "no sample that it ignores"
    if entry.get("client_text", True) and not any(
        canary.encode() in sample.line for sample in samples for canary in CANARIES
    ):
        yield f"no sample with a forged address ({CANARIES[0]}); or say client_text = false"


def _check_keys(table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Every key is one that is known, and its value of the kind that it must be."""
    if unknown := set(table) - known:
        raise RuleError(f"{where}: unknown key {', '.join(sorted(unknown))}; expected {', '.join(sorted(known))}")
    for key, value in table.items():
        kind = next((kind for kind, keys in _KINDS.items() if key in keys), "a string")
        if not _IS[kind](value):
            raise RuleError(f"{where}: {key} is {value!r}; expected {kind}")


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_KINDS = {
    "a list of tables": {"rule", "matches", "ignores"},
    "a table of strings": {"programs", "parts"},
    "a list of strings": {"literals", "needed_by"},
    "a string or a list of strings": {"level"},
    "true or false": {"client_text", "wakes"},
    "a number": {"count"},
}
"""What values are not simply strings."""

_IS: Mapping[str, Callable[[object], bool]] = {
    "a string": lambda value: isinstance(value, str),
    "a list of tables": lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    "a table of strings": lambda value: isinstance(value, dict) and all(isinstance(v, str) for v in value.values()),
    "a list of strings": _is_texts,
    "a string or a list of strings": lambda value: isinstance(value, str) or _is_texts(value),
    "true or false": lambda value: isinstance(value, bool),
    "a number": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
