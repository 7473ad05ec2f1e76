"""Every rule proves itself: each sample is read by the real reader."""

import pytest

from appliance.config.rule_files import SAMPLE_TRUST, load_rules, prove, sample_fault
from appliance.read.reader import Reader

FILES = load_rules()
READER = Reader(FILES.rules, SAMPLE_TRUST)


@pytest.mark.parametrize("sample", FILES.samples, ids=lambda sample: f"{sample.rule}-{sample.kind}-{sample.number}")
def test_a_sample_is_read_as_it_says(sample):
    assert sample_fault(sample, READER) is None


def test_every_rule_has_both_kinds_of_samples_and_a_forged_one():
    assert FILES.unproved == ()


def test_check_finds_no_fault():
    assert prove(FILES) == []


def test_the_sieve_holds_no_literal_twice_over():
    literals = FILES.rules.literals
    assert not [(a, b) for a in literals for b in literals if a != b and a in b]
