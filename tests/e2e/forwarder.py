"""The mail host's forwarding of its logs, line by line as a test wants them."""

from datetime import UTC, datetime

from e2e.wire import GATEWAY, Host


class Forwarder:
    """Octet-counted over one connection; what was sent is kept."""

    def __init__(self, mail: Host) -> None:
        self._socket = mail.new_socket(GATEWAY[4])
        self.sent: list[bytes] = []

    def __enter__(self) -> "Forwarder":
        self._socket.connect((GATEWAY[4], 5514))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, tag: str, text: str, priority: int = 134) -> None:
        now = datetime.now(UTC)
        frame = f"<{priority}>{now:%Y-%m-%dT%H:%M:%S.%f}+00:00 mbox1 {tag}: {text}".encode()
        self.sent.append(frame)
        self._socket.sendall(b"%d %b" % (len(frame), frame))

    def audit(self, level: str, source: str, account: str, ending: str) -> None:
        """What Zimbra writes to audit.log of a login over IMAP, which comes by its proxy."""
        now = datetime.now(UTC)
        self.send(
            "zimbra-audit",
            f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d} {level:<5} [ImapSSLServer-1] "
            f"[ip=192.0.2.5;oip={source};via=192.0.2.5(nginx/1.20.0);ua=Zimbra/8.8.15;cid=230;] security - "
            f"cmd=Auth; account={account}; protocol=imap;{ending}",
        )

    def failure(self, source: str, account: str = "ana@example.com", times: int = 1) -> None:
        for _ in range(times):
            self.audit("WARN", source, account, f" error=authentication failed for [{account}], invalid password;")

    def success(self, source: str, account: str) -> None:
        self.audit("INFO", source, account, "")

    def ssh_failure(self, source: str, user: str = "root") -> None:
        self.send("sshd[10099]", f"Failed password for {user} from {source} port 51002 ssh2", 86)
