"""image/rsyslog/zward.conf, read by a real rsyslogd, forwards what zward judges and keeps secrets at home."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.mailhost import ROOT, SNIPPET, MailHost
from e2e.receiver import Receiver
from e2e.wire import World, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

TAGS = {
    "audit.log": "zimbra-audit:",
    "mailbox.log": "zimbra-mailbox:",
    "nginx.log": "zimbra-nginx:",
    "nginx.access.log": "zimbra-nginx-access:",
    "zmmailboxd.out": "zimbra-out:",
}
CORPUS = Path(__file__).parents[1] / "data/zimbra-lines.jsonl"

SECRET = "hunter2-hunter2"
SECRETIVE = (
    "2024-05-06 10:20:31,037 INFO  [qtp1-1:https://mail.example.com:7071/service/admin/soap/] "
    "[name=admin@example.com;ip=192.0.2.77;port=1;ua=ZimbraWebClient;soapId=1;] security - "
    f"cmd=ModifyDomain; name=example.com; zimbraAuthLdapSearchBindPassword={SECRET};"
)


def recognised_lines() -> Iterator[tuple[str, str]]:
    """File and text of every sample that a rule matches and that comes from a file."""
    for rules in sorted((ROOT / "rules").glob("*.toml")):
        for rule in tomllib.loads(rules.read_text())["rule"]:
            for sample in rule["matches"]:
                for file, tag in TAGS.items():
                    _, found, text = sample["line"].partition(f" {tag} ")
                    if found and text.isprintable():
                        yield file, text


def telling_lines() -> Iterator[tuple[str, str]]:
    """File and text of every corpus line that says something of a login and stands in a file of its own."""
    for row in map(json.loads, CORPUS.read_text().splitlines()):
        in_a_file = row["transport_shape"] == "raw file line" and row["source_log"] in TAGS
        if in_a_file and row["expect"]["outcome"] != "ignore" and row["line"].isprintable():
            yield row["source_log"], row["line"]


def test_rsyslogd_accepts_it(mailhost: MailHost) -> None:
    checked = subprocess.run(
        ["rsyslogd", "-N1", "-f", str(mailhost.directory / "rsyslog.conf")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert SNIPPET.read_text() == (mailhost.directory / "zward.conf").read_text()


def test_every_line_that_tells_of_a_login_is_forwarded_under_its_tag(world: World, mailhost: MailHost) -> None:
    lines = {*telling_lines(), *recognised_lines()}
    assert {file for file, _ in lines} == TAGS.keys()
    with Receiver(world.gateway) as receiver:
        for file, line in lines:
            mailhost.append(file, line)
        wanted = [f"{TAGS[file]} {line}".encode() for file, line in lines]
        wait_until(
            "all have arrived",
            lambda: not [line for line in wanted if line not in receiver.bytes],
            seconds=20,
        )


def test_what_an_administrator_sets_stays_on_the_host(world: World, mailhost: MailHost) -> None:
    with Receiver(world.gateway) as receiver:
        mailhost.append("audit.log", SECRETIVE)
        mailhost.audit_failure("198.51.100.77")
        wait_until("the next line has arrived", lambda: b"198.51.100.77" in receiver.bytes)
        assert SECRET.encode() not in receiver.bytes
