"""A stand-in for a Zimbra host: real Postfix, saslauthd and rsyslog, and files as Zimbra writes them."""

import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from e2e.wire import MAIL, PORTS, Host, World, wait_until

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).parent / "files"
SNIPPET = ROOT / "image/rsyslog/zward.conf"

OCTET_COUNTED = 'protocol="tcp" TCP_Framing="octet-counted"'
TRANSPORTS = {
    "udp": 'protocol="udp"',
    "tcp-octet-counted": OCTET_COUNTED,
    "tcp-lf": 'protocol="tcp" TCP_Framing="traditional"',
}
"""How the delivered snippet sends; octet counting is what stands in it."""

POSTFIX_PORTS = (25, 465, 587)
USER, PASSWORD = "eva", "correct horse"
"""Somebody who may log in."""
AUTH_FAILED = 28
"""The exit code of swaks when the server refuses the password."""


def snippet(transport: str, gateway_port: int = 5514) -> str:
    """The delivered snippet, which already names the test gateway's address, with another transport."""
    text = SNIPPET.read_text()
    assert text.count(OCTET_COUNTED) == text.count('port="5514"') == 1
    return text.replace(OCTET_COUNTED, TRANSPORTS[transport]).replace('port="5514"', f'port="{gateway_port}"')


class MailHost:
    """Runs in the `mail` namespace of a world. Use it in a `with` statement."""

    def __init__(self, world: World, transport: str, *, gateway_port: int = 5514) -> None:
        """Its log goes to that port of the gateway."""
        self.gateway_port = gateway_port
        self.host: Host = world.mail
        self.attacker = world.attacker
        self.transport = transport

    def __enter__(self) -> "MailHost":
        # Not pytest's tmp_path: Postfix's own user must reach it.
        self.directory = Path(tempfile.mkdtemp(prefix="zward-mailhost-"))
        self.directory.chmod(0o755)
        self._write_files()
        others = [port for port in PORTS if port not in POSTFIX_PORTS]
        self.listeners = dict(zip(others, self.host.listen(others), strict=True))
        self._init = self.host.start(
            *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(FILES / "start.sh", self.directory),
            said=self.directory / "start.out",
        )
        try:
            wait_until("the mail host's daemons run", self._is_up, 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._init.kill()  # unshare takes PID 1 with it, and PID 1 all the rest
        self._init.wait(10)
        for listener in self.listeners.values():
            listener.close()
        wait_until("the mail host is gone", lambda: not self.host.pids())
        shutil.rmtree(self.directory)

    def _write_files(self) -> None:
        for name in ("postfix", "postfix/sasl", "queue", "data", "saslauthd", "spool", "log"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        places = {
            "main.cf": "postfix/main.cf",
            "master.cf": "postfix/master.cf",
            "smtpd.conf": "postfix/sasl/smtpd.conf",
            "rsyslog.conf": "rsyslog.conf",
        }
        for name, place in places.items():
            text = Template((FILES / name).read_text()).substitute(DIR=self.directory)
            (self.directory / place).write_text(text)
        (self.directory / "zward.conf").write_text(snippet(self.transport, self.gateway_port))
        self.log("audit.log").touch()
        pem = str(self.directory / "tls.pem")
        certify = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=mbox1"
        command = [*certify.split(), "-keyout", pem, "-out", pem]
        subprocess.run(command, check=True, capture_output=True, timeout=20)
        add_user = ["saslpasswd2", "-c", "-p", "-f", str(self.directory / "sasldb2"), "-u", "mbox1.example.com", USER]
        subprocess.run(add_user, input=PASSWORD, text=True, check=True, capture_output=True, timeout=20)

    def _is_up(self) -> bool:
        said = (self.directory / "start.out").read_text()
        assert self._init.poll() is None, f"the mail host ended: {said}"
        return (self.directory / "started").exists() and self._greets()

    def _greets(self) -> bool:
        with self.host.new_socket(MAIL[4]) as probe:
            probe.settimeout(10)
            try:
                probe.connect((MAIL[4], 587))
                return probe.recv(3) == b"220"
            except ConnectionRefusedError:  # master is not that far yet
                return False

    def log(self, name: str) -> Path:
        """A file in what the host sees as /opt/zimbra/log."""
        return self.directory / "log" / name

    def append(self, name: str, line: str) -> None:
        with self.log(name).open("a") as file:
            file.write(line + "\n")

    def audit_failure(self, source: str, account: str = "ana@example.com") -> None:
        """What Zimbra writes to audit.log when a web login fails: by its proxy, so the client is in `oip`."""
        now = datetime.now(UTC)
        self.append(
            "audit.log",
            f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d} WARN  "
            "[qtp1286783232-20:https://mail.example.com/service/soap/AuthRequest] "
            f"[name={account};oip={source};port=47835;ua=zclient/10.0.6_GA_4508;soapId=4e5e1bb1;] security - "
            f"cmd=Auth; account={account}; protocol=soap; "
            f"error=authentication failed for [{account}], invalid password;",
        )

    def mailbox_unknown(self, source: str, account: str) -> None:
        """What Zimbra writes to mailbox.log when somebody tries a name that does not exist. Any client can write it."""
        now = datetime.now(UTC)
        self.append(
            "mailbox.log",
            f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d} INFO  "
            "[qtp509886383-0:https://mail.example.com/service/soap/AuthRequest] "
            f"[oip={source};port=41000;ua=zclient/10.0.6_GA_4508;soapId=4e5e1bb1;] SoapEngine - "
            f"handler exception: authentication failed for [{account}], account not found",
        )

    def guess(
        self, source: str, port: int, account: str = "ana@example.com", to: str = MAIL[4], seconds: int = 2
    ) -> int:
        """One wrong password from the attacker's `source`; the exit code of swaks. It waits so long for each answer."""
        return self.attacker.run(
            *("swaks", "--server", to, "--port", str(port), "--local-interface", source, "--helo", "x"),
            *("--auth", "LOGIN", "--auth-user", account, "--auth-password", "wrong", "--quit-after", "AUTH"),
            *("--timeout", str(seconds), *(["--tls-on-connect"] if port == 465 else [])),
            seconds=10.0 * seconds,  # for all its answers
        ).returncode
