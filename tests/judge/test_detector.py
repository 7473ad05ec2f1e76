import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.judge.detector import DetectorMode, Score


def test_modes_are_the_words_of_the_configuration():
    assert [mode.value for mode in DetectorMode] == ["off", "observe", "enforce"]


@pytest.mark.parametrize(("score", "counts"), [((6, 0), 0), ((6, 1), 2), ((6, 3), 6), ((3, 3), 3)])
def test_weak_lines_at_most_double_what_strong_evidence_bears(score, counts):
    assert Score(*score, 6).counting(proved=False) == counts


def test_weak_lines_count_in_full_against_a_source_that_is_proved():
    assert Score(6, 0, 6).counting(proved=True) == 6


scores = st.integers(0, 50).flatmap(
    lambda whole: st.builds(Score, st.just(whole), st.integers(0, whole), st.integers(1, 50))
)


@given(scores)
def test_proof_is_needed_exactly_where_it_decides(score):
    decides = score.counting(proved=True) >= score.limit > score.counting(proved=False)

    assert score.needs_proof == decides
