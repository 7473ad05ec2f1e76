"""Every key of the configuration, with its bounds and its default. docs/configuration.md explains them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from appliance.address import Net
from appliance.config.detect import Detect, Step
from appliance.config.durations import seconds
from appliance.config.gateway import Firewall, Gateway
from appliance.config.notify import Notify
from appliance.config.places import ADMIN_SOCKET
from appliance.config.presets import Preset, with_preset
from appliance.config.sshd import Sshd
from appliance.config.table import Networks, Table
from appliance.config.values import (
    Endpoint,
    absolute_path,
    duration,
    endpoint,
    host_name,
    named_hosts,
    share,
    size,
    socket_directory,
    socket_path,
    time_zone,
    whole,
)
from appliance.model import Mode

ListenAddress = Annotated[Endpoint, PlainValidator(endpoint), PlainSerializer(str, when_used="json")]
HostName = Annotated[str, PlainValidator(host_name)]
ZoneName = Annotated[str, PlainValidator(time_zone)]

FIREWALL_DIRECTORY = Path("/run/zward-firewall")


def _names_as_text(names: Mapping[str, Net]) -> dict[str, str]:
    return {name: str(net) for name, net in names.items()}


class Listen(Table):
    """Where log lines come in, and from whom."""

    udp: tuple[ListenAddress, ...] = ()
    tcp: tuple[ListenAddress, ...] = ()
    senders: Networks = ()
    names: Annotated[Mapping[str, Net], PlainValidator(named_hosts), PlainSerializer(_names_as_text)] = Field(
        default_factory=dict
    )
    """What senders are called where addresses must not stand, such as in metrics."""
    frame_limit: Annotated[int, whole(480, 1 << 20)] = 65536
    """Bytes of one message. RFC 5424 6.1 demands 480; Java's stack traces need 64 KiB."""
    connections: Annotated[int, whole(1, 65536)] = 1024
    connections_per_sender: Annotated[int, whole(1, 65536)] = 64
    frame_timeout: Annotated[float, duration("1s", "1h")] = seconds("30s")
    """How long a message that has begun may take to end."""

    @model_validator(mode="after")
    def _somebody_may_send(self) -> Self:
        if (self.udp or self.tcp) and not self.senders:
            text = "found nobody, expected the networks of your mail hosts, since udp or tcp listens"
            raise PydanticCustomError("nobody_may_send", text, {"key": "senders"})
        for name, host in self.names.items():
            if not any(net.covers(host) for net in self.senders):
                text = "found {host}, expected a host that senders holds"
                raise PydanticCustomError("no_sender", text, {"key": ("names", name), "host": str(host)})
        return self


class Lockout(Table):
    """How Zimbra itself locks an account: zimbraPasswordLockoutMaxFailures and …FailureLifetime."""

    max_failures: Annotated[int, whole(0, 1000)] = 10
    within: Annotated[float, duration("1s", "365d")] = seconds("30m")


class DosFilter(Table):
    """When a mailbox server itself turns a source away from HTTP: its invalid-login filter and its DoSFilter."""

    max_failed_logins: Annotated[int, whole(0, 100_000)] = 10
    """zimbraInvalidLoginFilterMaxFailedLogin: one failure more suspends the address. It has no window, and a success
    takes nothing back (ZimbraInvalidLoginFilter.java)."""
    requests_per_second: Annotated[int, whole(0, 100_000)] = 30
    """zimbraHttpDosFilterMaxRequestsPerSec."""


class Zimbra(Table):
    """The site behind the gateway."""

    hosts: Networks = ()
    proxies: Networks = ()
    relays: Networks = ()
    lockout: Lockout = Lockout()
    dosfilter: DosFilter = DosFilter()


class Allow(Table):
    """Who is never banned, beside ourselves and the Zimbra hosts."""

    networks: Networks = ()
    names: tuple[HostName, ...] = ()


class Http(Table):
    """API, console and metrics."""

    listen: ListenAddress = Endpoint("127.0.0.1", 9514)


class Store(Table):
    """What is kept on disk."""

    path: Annotated[Path, PlainValidator(absolute_path)] = Path("/var/lib/zward/zward.db")
    evidence_bytes: Annotated[int, size("1MiB", "1024GiB")] = 2 << 30


class Admin(Table):
    """The commands' way to the daemon."""

    socket: Annotated[Path, PlainValidator(socket_path)] = ADMIN_SOCKET


def _rising(steps: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(steps) <= 16 or list(steps) != sorted(steps):
        raise ValueError("1 to 16 durations, none shorter than the one before it")
    return steps


class Ladder(Table):
    """How bans grow when a source comes back."""

    steps: Annotated[tuple[Step, ...], AfterValidator(_rising)] = tuple(
        seconds(step) for step in ("30m", "2h", "12h", "48h", "7d")
    )
    memory: Annotated[float, duration("1m", "365d")] = seconds("30d")
    jitter: Annotated[float, share(0, 0.5)] = 0.1
    probation: Annotated[float, duration("0s", "30d")] = seconds("24h")


class Config(Table):
    """The whole configuration. Equal texts give equal values, so a reload can be compared."""

    mode: Mode = Mode.OBSERVE
    preset: Preset = Preset.BALANCED
    time_zone: ZoneName = "UTC"
    listen: Listen = Listen()
    zimbra: Zimbra = Zimbra()
    allow: Allow = Allow()
    http: Http = Http()
    store: Store = Store()
    admin: Admin = Admin()
    sshd: Sshd = Sshd()
    detect: Detect = Detect()
    notify: Notify = Notify()
    ladder: Ladder = Ladder()
    firewall: Firewall = Firewall()
    gateway: Gateway | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, tables: object) -> object:
        return with_preset(tables)

    @property
    def firewall_directory(self) -> Path:
        """Where the helper's socket and root's orders lie: beside the directory of the admin socket, by its name.

        So two zwards on one machine, which have two admin sockets, have two of these.
        """
        if self.firewall.directory:
            return self.firewall.directory
        beside = self.admin.socket.parent
        try:
            return socket_directory(f"{beside}-firewall")
        except ValueError:  # "/" itself, or a path so long that no socket fits behind it
            return FIREWALL_DIRECTORY

    @property
    def zone(self) -> tzinfo:
        """The zone of log lines that name none."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)


def names(table: tuple[str, ...] = ()) -> dict[str, type[Table] | None]:
    """The keys of a table as an operator writes them, each with its model if it is a table itself.

    `table` is the way to it from the outside in; a way that leads nowhere has no keys.
    """
    fields = _fields(table)
    return {name: _model(field.annotation) for name, field in fields.items()}


def keys(table: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that holds a value, in the order of the schema."""
    for name, model in names(table).items():
        if model:
            yield from keys((*table, name))
        else:
            yield (*table, name)


def described(key: tuple[str, ...]) -> str | None:
    """What a key without a default wants."""
    field = _fields(key[:-1]).get(key[-1])
    return field.description if field else None


def _fields(table: tuple[str, ...]) -> dict[str, FieldInfo]:
    model: type[Table] | None = Config
    for step in table:
        model = _model(_named(model)[step].annotation) if model and step in _named(model) else None
    return _named(model) if model else {}


def _named(model: type[Table]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model(annotation: object) -> type[Table] | None:
    """The table that a key holds: itself, or perhaps, or several in an array."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model(part))), None)
