"""Rule files: every faulty one in tests/data/rules is named after its fault. These tables are the checks, to read."""

import shutil
from pathlib import Path

import pytest

from appliance.config.rule_files import RuleError, load_rules, prove, rules_directory, rules_for
from appliance.config.schema import Config
from appliance.config.sshd import Sshd
from appliance.model import Evidence, Outcome

FILES = Path(__file__).parent.parent / "data" / "rules"

RULE = "rule lost-after-auth"
DECODERS = "expected one of zimbra, postfix, saslauthd, nginx, access, jetty, sshd"
PROGRAMS = "programs must map syslog tags to strong or weak"
SIEVE = (
    "to look for, and needs 6 bytes; text has no longer plain run outside groups: name the strings in literals = [...]"
)
SAMPLE_NEEDS = 'needs line and source (an address, or "none")'

REFUSED = {
    "decoder-absent": f"decoder is 'None'; {DECODERS}",
    "decoder-unknown": f"decoder is 'exim'; {DECODERS}",
    "evidence-unknown": f"{RULE}: 'none' is not a valid Evidence",
    "id-absent": "rule (without id): id is missing; expected a string",
    "id-twice": f"{RULE}: the id stands twice; ids are unique over all files",
    "id-with-capitals": "rule Lost_after_AUTH: id must be lower-case words joined by hyphens",
    "ignores-without-why": f"{RULE}, ignores 1: needs line and why",
    "key-unknown-in-file": "unknown key decodr; expected decoder, parts, programs, reference, rule",
    "key-unknown-in-ignores": f"{RULE}, ignores 1: unknown key because; expected line, why",
    "key-unknown-in-matches": (
        f"{RULE}, matches 1: unknown key user; expected account, count, line, mail, protocol, source"
    ),
    "key-unknown-in-rule": (
        f"{RULE}: unknown key sais; expected client_text, evidence, id, ignores, level, literals, logger, matches, "
        "needed_by, outcome, protocol, says, text, wakes"
    ),
    "literals-too-short": f"{RULE}: the sieve has only 'lost' {SIEVE}",
    "matches-without-line": f"{RULE}, matches 1: {SAMPLE_NEEDS}",
    "matches-without-source": f"{RULE}, matches 1: {SAMPLE_NEEDS}",
    "outcome-unknown": f"{RULE}: 'hacked' is not a valid Outcome",
    "programs-a-list": "programs is ['postfix/smtpd']; expected a table of strings",
    "programs-absent": f"{PROGRAMS} ('programs')",
    "programs-evidence-unknown": f"{PROGRAMS} ('certain' is not a valid Evidence)",
    "protocol-unknown": f"{RULE}: 'gopher' is not a valid Protocol",
    "text-absent": f"{RULE}: text is missing; expected a string",
    "text-does-not-compile": f"{RULE}: text does not compile: missing ), unterminated subpattern at position 51",
    "text-field-unknown": f"{RULE}: unknown field address; expected account, count, mail, protocol, source",
    "text-greedy-before-source": f"{RULE}: .* or .+ stands before the source; client text could run over it",
    "text-not-anchored": f"{RULE}: text must begin with ^; an unanchored pattern finds what a client wrote",
    "text-possessive-group": (
        f"{RULE}: a possessive group, )*+ or the like, does not match rightly before Python 3.11.5"
    ),
    "text-without-literal": f"{RULE}: the sieve has only 'lost ' {SIEVE}",
    "toml-unclosed-string": "Illegal character '\\n' (at line 2, column 19)",
}
"""Faults that keep the rules from being loaded."""

CANARY = "no sample with a forged address (203.0.113.66); or say client_text = false"

UNPROVED = {
    "sample-blames-the-canary": f"{RULE}, matches 1: blames 203.0.113.66, an address that only an attacker wrote",
    "sample-count-wrong": f"{RULE}, matches 1: count is 1; expected 2",
    "sample-not-ignored": f"{RULE}, ignores 1: the rule matches a line that it must leave alone",
    "sample-not-matched": f"{RULE}, matches 1: no rule matches it (no rule names what happened here)",
    "sample-of-another-program": f"{RULE}, matches 1: no rule matches it (no rules for the program sshd)",
    "sample-of-the-rule-before": f"{RULE}, matches 1: rule first matches it first",
    "sample-source-wrong": f"{RULE}, matches 1: source is '203.0.113.9'; expected '203.0.113.8'",
    "sample-without-literal": f"{RULE}, matches 1: no literal of the sieve occurs in it",
    "unproved-no-canary": f"unproved-no-canary.toml: {RULE}: {CANARY}",
    "unproved-no-ignores": f"unproved-no-ignores.toml: {RULE}: no sample that it ignores",
    "unproved-no-matches": f"unproved-no-matches.toml: {RULE}: no sample that it matches",
}
"""Faults that `zward check` finds by running the samples."""


def alone(name: str, directory: Path) -> Path:
    """A directory that holds this one file."""
    shutil.copy(FILES / f"{name}.toml", directory)
    return directory


@pytest.mark.parametrize("name", REFUSED)
def test_a_faulty_file_is_refused_with_its_place(name, tmp_path):
    with pytest.raises(RuleError) as raised:
        load_rules(alone(name, tmp_path))

    assert str(raised.value) == f"{tmp_path}/{name}.toml: {REFUSED[name]}"


@pytest.mark.parametrize("name", UNPROVED)
def test_a_rule_that_its_samples_do_not_prove_is_told(name, tmp_path):
    faults = prove(load_rules(alone(name, tmp_path)))

    assert [fault.removeprefix(f"{tmp_path}/") for fault in faults] == [UNPROVED[name]]


def test_every_faulty_file_is_in_a_table():
    assert {path.stem for path in FILES.glob("*.toml")} == {*REFUSED, *UNPROVED, "good"}


def test_a_good_file_is_loaded_and_proved(tmp_path):
    files = load_rules(alone("good", tmp_path))
    (program,) = files.rules.programs
    (rule,) = program.rules

    assert prove(files) == []
    assert (program.stem, program.decoder, program.senders_evidence) == (
        "good",
        "postfix",
        {"postfix/smtpd": Evidence.STRONG},
    )
    assert (rule.id, rule.outcome, rule.literals) == (
        "lost-after-auth",
        Outcome.AUTH_INCOMPLETE,
        (b"lost connection after AUTH from ",),
    )
    assert [(sample.kind, sample.number) for sample in files.samples] == [("matches", 1), ("ignores", 1)]


def test_an_id_is_unique_over_all_files(tmp_path):
    alone("good", tmp_path)
    shutil.copy(FILES / "good.toml", tmp_path / "second.toml")

    with pytest.raises(RuleError, match=r"second\.toml: rule lost-after-auth: the id stands twice"):
        load_rules(tmp_path)


def test_a_directory_without_rules_is_refused(tmp_path):
    with pytest.raises(RuleError, match=r"no rule files \(\*\.toml\)"):
        load_rules(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(RuleError, match=r"x\.toml: 'utf-8' codec can't decode byte 0xff"):
        load_rules(tmp_path)


def test_parts_are_put_in_for_their_names(tmp_path):
    text = (FILES / "good.toml").read_text()
    text = text.replace("decoder =", "parts = { end = 'AUTH from ' }\ndecoder =", 1).replace(
        "after AUTH from [^", "after {end}[^", 1
    )
    (tmp_path / "x.toml").write_text(text)

    assert prove(load_rules(tmp_path)) == []


def test_the_projects_own_rules_are_found():
    assert (rules_directory() / "zimbra-audit.toml").is_file()


def test_only_a_program_that_the_configuration_asks_for_is_heard():
    everything = {program.stem for program in load_rules().rules.programs}

    assert {program.stem for program in rules_for(Config()).programs} == everything - {"sshd"}
    assert {program.stem for program in rules_for(Config(sshd=Sshd(enabled=True))).programs} == everything


def test_rules_for_detectors_that_are_off_are_not_heard():
    off = {"mode": "off"}
    quiet = Config(detect={"outbound": off, "harvesting": off, "neighbourhood": off})

    everything, heard = ({rule.id for rule in rules_for(config)} for config in (Config(), quiet))
    assert everything - heard == {"postfix-mail-accepted", "postfix-mail-sent"}
