"""Who may send, and what each of them has sent."""

from dataclasses import dataclass
from hashlib import blake2b

from appliance.address import NetSet, parse_address

SENDER_LIMIT = 4096
"""Senders whose facts are kept. A site has tens of mail hosts; who lists a whole network may see more, and
the one heard of least recently is then forgotten."""

MARKED = 64
"""Senders without a name that are told apart where no address may stand: each is a few series in Prometheus."""

_ANSWER_LIMIT = 65536
"""Peers whose admission is remembered; forged UDP sources would grow it without end."""


@dataclass(slots=True)
class Sender:
    """What one admitted host has sent so far."""

    last_seen: float
    """Seconds since the epoch."""
    frames: int = 0
    octets: int = 0
    """Bytes of those frames, with what stood between them."""
    connections: int = 0
    """TCP connections open now."""


class Senders:
    """The networks that may send, and the facts about everybody of them who did.

    A sender's identity is the address that its packets come from, never a name that it writes.
    """

    def __init__(self, networks: NetSet) -> None:
        self._networks = networks
        self._answers: dict[str, str | None] = {}
        self._facts: dict[str, Sender] = {}
        self.names: dict[str, str] = {}
        """Address → what the operator calls that sender."""
        self._marks: dict[str, str] = {}
        self.forgotten = 0
        """Senders whose facts were dropped to keep within SENDER_LIMIT."""

    @property
    def networks(self) -> NetSet:
        return self._networks

    @networks.setter
    def networks(self, networks: NetSet) -> None:
        """A reload: takes effect with the next datagram and the next connection."""
        self._networks = networks
        self._answers.clear()

    def admitted(self, peer: str) -> str | None:
        """The sender's address in its usual form, v4-mapped unmapped; None for one who may not send.

        `peer` is what the kernel calls the other side; the scope of a link-local address is dropped.
        """
        if peer in self._answers:
            return self._answers[peer]
        address = parse_address(peer.partition("%")[0].encode("ascii", "replace"))
        sender = str(address) if address is not None and address in self._networks else None
        if len(self._answers) >= _ANSWER_LIMIT:
            self._answers.clear()
        self._answers[peer] = sender
        return sender

    def heard(self, sender: str, now: float, frames: int = 0, octets: int = 0) -> Sender:
        """Note that an admitted sender sent something, or connected."""
        fact = self._facts.pop(sender, None) or Sender(now)
        if len(self._facts) >= SENDER_LIMIT:
            self._forget()
        self._facts[sender] = fact  # the youngest stands last
        fact.last_seen = now
        fact.frames += frames
        fact.octets += octets
        return fact

    def left(self, sender: str) -> None:
        """One connection of the sender has ended."""
        if fact := self._facts.get(sender):
            fact.connections -= 1

    def facts(self) -> dict[str, Sender]:
        """All senders heard of, by address."""
        return dict(self._facts)

    def called(self, sender: str) -> str:
        """What a sender is called where no address may stand: by its name, else by a mark made from its address."""
        if name := self.names.get(sender):
            return name
        mark = self._marks.get(sender)
        if mark is None:
            if len(self._marks) >= MARKED:
                return "other"
            mark = f"unnamed-{blake2b(sender.encode(), digest_size=3).hexdigest()}"
            self._marks[sender] = mark
        return mark

    def connections_of(self, sender: str) -> int:
        """How many connections the sender holds open."""
        fact = self._facts.get(sender)
        return fact.connections if fact else 0

    def awaited(self, sender: str) -> int:
        """How many listed hosts (not networks) have no connection yet; 0 if `sender` is one of them."""
        hosts = (str(net) for net in self._networks.networks if net.is_host)
        missing = {host for host in hosts if not self.connections_of(host)}
        return 0 if sender in missing else len(missing)

    def _forget(self) -> None:
        """Drop the sender heard of least recently, but none that is connected."""
        for sender, fact in self._facts.items():
            if not fact.connections:
                del self._facts[sender]
                self.forgotten += 1
                return
