import io
import pickle
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import ANA, BOB, ENFORCE, START, line

from appliance.judge.judge import Judge
from appliance.keepsake import DIGEST, UnknownLayoutError, layout, read, write
from appliance.model import Banned, Evidence, Outcome, Protocol

SEED = b"a seed for tests"


def kept(tables):
    file = io.BytesIO()
    write(tables, file)
    file.seek(0)
    return read(file)


def reborn(judge, bans, now):
    """A judge after a restart: counts from their file, bans and familiarity from the store."""
    other = Judge(judge.policy, SEED)
    in_force = judge.bans_in_force(now)
    other.restore(in_force, [ban for ban in bans if ban not in in_force])
    other.familiar.load(judge.familiar)
    other.take_up(kept(judge.saved()))
    return other


sources = st.sampled_from([f"203.0.113.{number}" for number in range(8)] + ["2001:db8:0:1::1", None])
events = st.builds(
    line,
    st.just(0.0),
    rule=st.sampled_from(["audit-bad-password", "postfix-sasl", "saslauthd-failed", "mailbox-bad-password"]),
    outcome=st.sampled_from(
        [*[Outcome.BAD_PASSWORD] * 6, *Outcome],
    ),
    source=sources,
    account=st.sampled_from([ANA, BOB, "carl@example.com", "dora@example.com", None]),
    protocol=st.sampled_from([Protocol.IMAP, Protocol.SMTP]),
    evidence=st.sampled_from([Evidence.STRONG, Evidence.STRONG, Evidence.WEAK]),
    session=st.sampled_from(["mx1/7", "mx1/8", None]),
    count=st.integers(1, 3),
)
steps = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 20.0, 95.0, 900.0, 4000.0]), events), max_size=80)


@settings(max_examples=150)
@given(steps, st.integers(0, 80))
def test_restart_in_the_middle_of_a_story_changes_no_verdict(told, place):
    steady, restarted = Judge(ENFORCE, SEED), Judge(ENFORCE, SEED)
    now, bans = START, []
    for number, (pause, event) in enumerate(told):
        now += pause
        if number == place:
            restarted = reborn(restarted, bans, now)
        event = event.__class__(**{name: getattr(event, name) for name in event.__slots__} | {"time": now})
        verdicts = steady.judge(event, now)
        assert restarted.judge(event, now) == verdicts
        bans += [verdict.ban for verdict in verdicts if isinstance(verdict, Banned)]


def test_every_table_goes_over_a_restart():
    judge = Judge(ENFORCE, SEED)
    for second in range(4):
        judge.judge(line(second, source=f"203.0.113.{second}"), START + second)

    tables = kept(judge.saved())

    assert tables.keys() == judge.saved().keys()
    assert tables["attempts"] == 4


@pytest.mark.parametrize("text", [b"", b"x" * 100, b"zward judgement 0123\n"])
def test_file_that_is_none_of_ours_is_refused(text):
    with pytest.raises(UnknownLayoutError):
        read(io.BytesIO(text))


def test_file_cut_short_is_refused():
    file = io.BytesIO()
    write(Judge(ENFORCE, SEED).saved(), file)
    text = file.getvalue()

    for cut in (len(text) - 1, len(text) // 2, 40):
        with pytest.raises(UnknownLayoutError, match="damaged"):
            read(io.BytesIO(text[:cut]))


def _written():
    judge = Judge(ENFORCE, SEED)
    for at in range(5):
        judge.judge(line(float(at)), START + at)
    file = io.BytesIO()
    write(judge.saved(), file)
    return file.getvalue()


WRITTEN = _written()


class Evil:
    def __reduce__(self):
        return print, ("this must not be printed",)


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(1, 255))
def test_file_with_one_byte_changed_is_refused(chance, change):
    text = bytearray(WRITTEN)
    text[chance.randrange(len(text))] ^= change

    with pytest.raises(UnknownLayoutError):
        read(io.BytesIO(text))


def test_file_that_would_run_something_else_is_refused(capsys):
    text = b"zward judgement " + layout() + pickle.dumps({"joins": Evil()})
    file = io.BytesIO(text + blake2b(text, digest_size=DIGEST).digest())

    with pytest.raises(UnknownLayoutError, match=r"builtins\.print has no place in it"):
        read(file)
    assert capsys.readouterr().out == ""


def test_packed_source_that_was_cut_short_is_refused():
    judge = Judge(ENFORCE, SEED)
    judge.saved()["logins"]._shelves._quiet._young.buckets[0] = b"\x04"
    file = io.BytesIO()
    write(judge.saved(), file)
    file.seek(0)

    with pytest.raises(UnknownLayoutError, match="damaged"):
        read(file)
