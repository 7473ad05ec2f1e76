"""`zward explain`."""

import json
import subprocess

import pytest
from invoking import HOSTILE, acting, invoke, on_terminal
from lines import audit_failure, audit_success
from running import COMMAND

NOON = 1_792_584_000.0
GOOD = audit_failure("203.0.113.9", NOON)
KEYS = [
    "result",
    "outcome",
    "rule",
    "source",
    "account",
    "protocol",
    "evidence",
    "host",
    "program",
    "time",
    "count",
    "why",
]
CONFIG = '[zimbra]\nhosts = ["192.0.2.0/24"]\nproxies = ["192.0.2.5"]\n'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text(CONFIG)
    return path


def facts(config, *lines: bytes, end: bytes = b"\n"):
    """What explain says of these lines, as JSON."""
    answer = invoke("explain", "--json", "--config", config, given=b"".join(line + end for line in lines))
    assert answer.exit_code == 0
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_the_keys_are_those_that_programs_rely_on(config):
    (fact,) = facts(config, GOOD)

    assert list(fact) == KEYS
    assert fact == {
        "result": "failure",
        "outcome": "bad_password",
        "rule": "audit-bad-password",
        "source": "203.0.113.9",
        "account": "ana@example.com",
        "protocol": "imap",
        "evidence": "strong",
        "host": "mbox1",
        "program": "zimbra-audit",
        "time": NOON,
        "count": 1,
        "why": "ip, the peer itself",
    }


AUDIT = "2026-11-21 20:00:00,000 WARN  [ImapServer-7] [ip=203.0.113.9;] security - cmd=Auth; account=a@example.com; "
RESULTS = {
    "failure": GOOD,
    "success": audit_success("203.0.113.9", NOON),
    "lockout": f"<134>Nov 21 20:00:00 mbox1 zimbra-audit: {AUDIT}protocol=imap; error=authentication failed for "
    "[a@example.com], account lockout;".encode(),
    "abuse": b"<22>Nov 21 20:00:00 mx1 postfix/smtpd[1]: lost connection after AUTH from unknown[203.0.113.9]",
    "ignored": b"<22>Nov 21 20:00:00 mx1 postfix/smtpd[1]: connect from unknown[203.0.113.9]",
}


@pytest.mark.parametrize("result", RESULTS)
def test_each_result_is_said_in_one_word(config, result):
    (fact,) = facts(config, RESULTS[result])

    assert fact["result"] == result
    assert (fact["outcome"] is None) == (result == "ignored")


def test_a_line_reads_alike_with_and_without_a_pri(config):
    with_pri, without = facts(config, GOOD, GOOD.removeprefix(b"<134>"))

    assert with_pri == without


def test_only_a_proxy_of_ours_is_believed_about_the_client(config):
    line = audit_failure("192.0.2.5;oip=203.0.113.9", NOON)
    lie = audit_failure("198.51.100.1;oip=203.0.113.9", NOON)

    believed, disbelieved = facts(config, line, lie)

    assert (believed["source"], believed["why"]) == ("203.0.113.9", "oip, vouched for by proxy 192.0.2.5")
    assert disbelieved["source"] == "198.51.100.1"
    assert "not believed" in disbelieved["why"]


STRANGE = [
    b"",
    b"   ",
    b"garbage",
    b"\0\xff\xfe\x80<134>",
    HOSTILE.encode(),
    b"<",
    b"<999>x",
    "<13>1 - - - - - - \u202e".encode(),
]


def test_every_line_has_its_answer_whatever_it_is(config):
    told = facts(config, *STRANGE, GOOD)

    assert len(told) == len(STRANGE) + 1
    assert [fact["result"] for fact in told] == ["ignored"] * len(STRANGE) + ["failure"]
    assert all(fact["why"] for fact in told)


def test_lines_end_as_files_from_anywhere_end_them(config):
    assert facts(config, GOOD, end=b"\r\n") == facts(config, GOOD, end=b"") == facts(config, GOOD)


def test_nothing_in_is_nothing_out(config):
    assert facts(config) == []


def test_a_line_longer_than_any_frame_is_one_line_and_the_next_is_read(config):
    told = facts(config, b"x" * 3_000_000, GOOD, GOOD + b" " * 200_000)

    assert [fact["result"] for fact in told] == ["ignored", "failure", told[2]["result"]]


def test_a_line_of_the_greatest_length_is_not_mistaken_for_a_longer_one(config):
    config.write_text(CONFIG + "[listen]\nframe_limit = 480\n")
    exact = GOOD.ljust(480)

    assert [fact["result"] for fact in facts(config, exact, exact + b"x", GOOD)][2] == "failure"
    assert len(facts(config, exact, exact + b"x", exact + b"xy", b"z" * 1000, b"z" * 1443)) == 5


def test_a_file_is_read_as_standard_input_is(config, tmp_path):
    (tmp_path / "lines").write_bytes(GOOD + b"\n")

    named = invoke("explain", "--json", tmp_path / "lines", "--config", config)

    assert json.loads(named.stdout)["result"] == "failure"


def test_a_file_that_is_not_there_is_a_usage_error(config, tmp_path):
    answer = invoke("explain", tmp_path / "none", "--config", config)

    assert answer.exit_code == 2
    assert "No such file or directory" in answer.stderr


def test_for_a_person_it_says_the_line_and_then_what_it_means(config):
    printed = invoke("explain", "--config", config, given=GOOD + b"\n").stdout.splitlines()

    assert printed == [
        GOOD.decode(),
        "  result    failure (bad_password)",
        "  source    203.0.113.9: ip, the peer itself",
        "  account   ana@example.com, over imap",
        "  rule      audit-bad-password, strong evidence",
        "  from      host mbox1, program zimbra-audit",
    ]


def test_for_a_person_a_line_that_says_nothing_is_explained_too(config):
    printed = invoke("explain", "--config", config, given="\n").stdout.splitlines()

    assert printed == [
        "",
        "  result    ignored",
        "  why       no rules for the program (none named)",
        "  from      host not named, program not named",
    ]


def test_nothing_in_a_line_acts_on_the_terminal(config, tmp_path):
    hostile = [
        audit_failure("203.0.113.9", NOON, f"{HOSTILE}@example.com"),
        f"<13>Nov 21 20:00:00 h\u202eost p\u202erog: {HOSTILE}".encode(),
        *STRANGE,
    ]
    (tmp_path / "lines").write_bytes(b"\n".join(hostile))

    printed = on_terminal("explain", tmp_path / "lines", "--config", config)
    as_json = on_terminal("explain", "--json", tmp_path / "lines", "--config", config)

    assert "failure" in printed
    assert acting(printed) == []
    assert acting(as_json) == []


def test_a_person_is_not_shown_a_megabyte(config):
    printed = invoke("explain", "--config", config, given=b"x" * 60_000 + b"\n").stdout

    assert len(printed) < 2000
    assert "x… (60000 bytes)\n" in printed


def test_a_reader_that_has_gone_ends_it_quietly(config, tmp_path):
    (tmp_path / "lines").write_bytes((GOOD + b"\n") * 5000)
    command = [COMMAND, "explain", str(tmp_path / "lines"), "--config", str(config)]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""


def test_a_line_of_sshd_is_read_where_the_configuration_asks_for_it(config):
    line = b"<86>2026-10-21T10:00:00+00:00 mx1 sshd[7]: Failed password for root from 203.0.113.9 port 51002 ssh2"
    (off,) = facts(config, line)
    config.write_text(CONFIG + "[sshd]\nenabled = true\n")
    (on,) = facts(config, line)

    assert (off["outcome"], off["why"]) == (None, "no rules for the program sshd")
    assert (on["outcome"], on["source"], on["account"], on["protocol"]) == (
        "bad_password",
        "203.0.113.9",
        "root",
        "ssh",
    )
