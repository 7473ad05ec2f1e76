"""Guesses over SSH are judged as those over IMAP are: one attempt counts once however many lines tell of it."""

from story import ENFORCE, SOURCE, START, address

from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.judge.judge import Judge
from appliance.model import Banned, Outcome, Protocol, Verdict
from appliance.read.reader import Reader

READER = Reader(load_rules().rules, SAMPLE_TRUST)


class Host:
    """A host whose sshd logs, and the judge who hears it."""

    def __init__(self) -> None:
        self.judge = Judge(ENFORCE, b"a seed for tests")

    def logs(self, at: float, *texts: str, pid: int = 7) -> list[Verdict]:
        """What the judge says of these lines, `at` seconds after the beginning (1700000000 is 22:13:20)."""
        minute, second = divmod(13 * 60 + 20 + int(at), 60)
        verdicts = []
        for text in texts:
            frame = f"<86>2023-11-14T22:{minute:02}:{second:02}+00:00 mx1 sshd[{pid}]: {text}"
            event = READER.read(frame.encode(), "192.0.2.10", START + at).event
            assert event is not None, text
            assert event.time == START + at
            verdicts += self.judge.judge(event, START + at)
        return verdicts

    def tries_unknown(self, at: float, name: str = "oracle", *, passwords: int = 1, pid: int = 7) -> list[Verdict]:
        """All that one connection writes."""
        failed = f"Failed password for invalid user {name} from {SOURCE} port 51002 ssh2"
        begun = f"Invalid user {name} from {SOURCE} port 51002"
        ended = f"Connection closed by invalid user {name} {SOURCE} port 51002 [preauth]"
        return self.logs(at, begun, *[failed] * passwords, ended, pid=pid)


def bans(verdicts: list[Verdict]) -> list[Banned]:
    return [verdict for verdict in verdicts if isinstance(verdict, Banned)]


def test_the_third_unknown_user_bans_and_each_counts_once():
    host = Host()
    assert bans(host.tries_unknown(0, pid=1)) == []
    assert bans(host.tries_unknown(60, pid=2)) == []
    assert host.judge.attempts == 2

    (ban,) = bans(host.tries_unknown(120, pid=3))

    assert ban.source == address(SOURCE)
    assert ban.reason == "6 points in 30 min (limit 6): 3 unknown accounts on oracle over ssh"


def test_several_passwords_in_one_connection_are_as_many_attempts():
    host = Host()

    (ban,) = bans(host.tries_unknown(0, passwords=3))

    assert ban.reason == "6 points in 30 min (limit 6): 3 unknown accounts on oracle over ssh"
    assert host.judge.attempts == 3


def test_six_wrong_passwords_ban_and_what_rsyslog_repeats_counts():
    host = Host()
    failed = f"Failed password for root from {SOURCE} port 51002 ssh2"
    assert bans(host.logs(0, failed, pid=1)) == []

    (ban,) = bans(host.logs(10, f"message repeated 5 times: [ {failed}]", pid=1))

    assert ban.reason == "6 points in 30 min (limit 6): 6 bad passwords on root over ssh"


def test_a_success_takes_the_points_of_its_account_back():
    host = Host()
    for at in range(5):
        host.logs(at * 60, f"Failed password for ana from {SOURCE} port 51002 ssh2", pid=at)
    host.logs(400, f"Accepted publickey for ana from {SOURCE} port 51002 ssh2: ED25519 SHA256:x", pid=9)

    assert bans(host.logs(460, f"Failed password for ana from {SOURCE} port 51002 ssh2", pid=10)) == []


def test_a_name_that_imitates_a_line_bans_nobody_else():
    host = Host()
    name = "root from 203.0.113.66 port 22 ssh2"
    verdicts = [verdict for at in range(3) for verdict in host.tries_unknown(at * 60, name, pid=at)]

    assert {verdict.source for verdict in bans(verdicts)} == {address(SOURCE)}


def test_lines_of_it_are_of_its_own_protocol():
    frame = f"<86>Nov 14 22:13:20 mx1 sshd[7]: Invalid user x from {SOURCE} port 1".encode()
    event = READER.read(frame, "192.0.2.10", START).event

    assert (event.protocol, event.outcome) == (Protocol.SSH, Outcome.UNKNOWN_ACCOUNT)
