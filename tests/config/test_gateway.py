"""`[gateway]`: what the firewall is given for it, what the page shows, what is warned of."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from namespaces import Namespace, network, require_kernel
from pydantic import ValidationError

from appliance.address import parse_network
from appliance.config.checks import warnings
from appliance.config.load import parse
from appliance.config.ruleset import gateway_of, ruleset_of
from appliance.config.schema import Config
from appliance.firewall.policy.gateway import Gateway, Limits, Publish, Shape
from appliance.model import Scope

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
INSTALLED = Path(__file__).parents[2] / "image" / "zward.toml"

ROUTED = """
[listen]
udp = ["0.0.0.0:5514", "127.0.0.1:5515"]
tcp = ["[::1]:5514", "192.0.2.1:5516", "192.0.2.1:0"]
senders = ["192.0.2.10"]
[zimbra]
hosts = ["192.0.2.10", "2001:db8:20::10"]
[allow]
networks = ["198.51.100.0/24"]
[http]
listen = "192.0.2.1:9514"
[gateway]
mode = "routed"
wan = ["wan0"]
lan = ["lan0"]
admin = ["198.51.100.0/28"]
[[gateway.publish]]
scope = "web"
to = ["192.0.2.10", "2001:db8:20::10"]
at = ["203.0.113.1"]
[gateway.limits]
smtp-in = 51
"""


def told(text: str) -> list[str]:
    return [warning for warning in warnings(parse(text, "zward.toml")) if warning.startswith("gateway.")]


def test_the_table_becomes_the_gateway() -> None:
    host, public = (parse_network("192.0.2.10"), parse_network("2001:db8:20::10")), parse_network("203.0.113.1")

    assert gateway_of(parse(ROUTED, "a")) == Gateway(
        Shape.ROUTED,
        wan=("wan0",),
        lan=("lan0",),
        admin=(parse_network("198.51.100.0/28"),),
        publish=(Publish(Scope.WEB, host, (80, 443), (public,)),),
        limits=Limits(smtp_in=51),
    )


def test_without_the_table_there_is_no_policy() -> None:
    assert gateway_of(Config()) is None
    assert ruleset_of(Config()) is None


def test_ports_that_others_can_reach_are_open_to_their_own() -> None:
    text = ruleset_of(parse(ROUTED, "a")) or ""

    assert "udp dport 5514 ip saddr @senders4 accept" in text
    assert "tcp dport 5516 ip saddr @senders4 accept" in text
    assert "tcp dport 9514 ip saddr @admin4 accept" in text
    assert "elements = { 198.51.100.0/24 }" in text


def test_ports_on_loopback_are_not_opened() -> None:
    text = ruleset_of(parse('[http]\nlisten = "[::1]:9514"\n[gateway]\nmode = "host"', "a")) or ""

    assert "9514" not in text


def test_a_sound_gateway_has_no_warning() -> None:
    assert told(ROUTED) == []


@pytest.mark.parametrize("port", [389, 7025, 7072, 7073, 11211])
def test_ports_that_zimbra_keeps_to_itself_are_warned_of(port: int) -> None:
    (warning,) = told(ROUTED.replace('at = ["203.0.113.1"]', f"ports = [443, {port}]"))

    assert warning.startswith(f"gateway.publish.ports: {port} is open to the world: ")


def test_management_that_nobody_reaches_is_warned_of() -> None:
    assert told('[gateway]\nmode = "host"\nmanagement = []') == [
        "gateway.admin: empty: nobody reaches this host's own ports but at its console",
        "gateway.management: empty: nobody reaches this host's own ports but at its console",
    ]


def test_a_published_host_that_could_be_banned_is_warned_of() -> None:
    assert told(ROUTED.replace('hosts = ["192.0.2.10", ', "hosts = [")) == [
        "gateway.publish.to: 192.0.2.10 is not among zimbra.hosts: it could be banned"
    ]


def test_the_page_has_an_example_of_each_mode() -> None:
    assert [gateway.mode for text in EXAMPLES if (gateway := parse(text, "docs/gateway.md").gateway)] == list(Shape)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_on_the_page_are_whole(text: str) -> None:
    assert warnings(parse(text, "docs/gateway.md")) == []


def test_the_installed_examples_gateway_loads_once_it_is_no_comment() -> None:
    text = INSTALLED.read_text(encoding="utf-8")
    uncommented = re.sub(r"^# ?(?=\[+gateway|\w+ = )", "", text[text.index("# [gateway]") :], flags=re.MULTILINE)

    assert parse(uncommented, "zward.toml").gateway


V4 = st.integers(0x01000000, 0xDFFFFFFF).map(lambda number: ".".join(map(str, number.to_bytes(4, "big"))))
V6 = st.integers(0, (1 << 64) - 1).map(
    lambda number: f"2001:db8:{number >> 48:x}:{number >> 32 & 0xFFFF:x}::{number & 0xFFFF:x}"
)
NETWORK = st.one_of(
    V4,
    V6,
    st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 32)).map(
        lambda pair: f"{'.'.join(map(str, (pair[0] >> 32 - pair[1] << 32 - pair[1]).to_bytes(4, 'big')))}/{pair[1]}"
    ),
    st.sampled_from(["::/0", "0.0.0.0/0", "2001:db8::/32", "fe80::/10", "::1", "::ffff:192.0.2.1"]),
)
NETWORKS = st.lists(NETWORK, max_size=6)
NAME = st.from_regex(r"[A-Za-z0-9_.-]{1,15}", fullmatch=True)
NAMES = st.lists(NAME, min_size=1, max_size=3, unique=True)
PORT = st.integers(1, 65535)
CEILING = st.sampled_from([1, 2, 300, 99_999, 100_000])


@st.composite
def gateways(draw: st.DrawFn) -> dict[str, Any]:
    mode = draw(st.sampled_from(["routed", "bridge", "host"]))
    asked: dict[str, Any] = {"mode": mode, "admin": draw(NETWORKS), "management": draw(st.lists(PORT, max_size=3))}
    if mode == "routed":
        asked |= {"wan": draw(NAMES), "lan": draw(NAMES)}
        asked |= draw(st.sampled_from([{}, {"snat": "203.0.113.1"}]))
    else:
        asked |= {"inside": draw(NETWORKS)}
    if mode == "bridge":
        asked |= {"bridge": draw(NAME)}
    asked["publish"] = draw(st.lists(publishes(mode), max_size=4))
    limits = st.dictionaries(st.sampled_from(["login", "web", "smtp-in", "admin"]), CEILING)
    asked["limits"] = draw(limits) | {"favoured": draw(st.sampled_from([1, 10, 1000]))}
    return asked


@st.composite
def publishes(draw: st.DrawFn, mode: str) -> dict[str, Any]:
    to = [draw(V4)] * draw(st.booleans()) + [draw(V6)] * draw(st.booleans())
    made: dict[str, Any] = {"scope": draw(st.sampled_from(["login", "web", "smtp-in", "admin"])), "to": to}
    if mode == "routed":
        made["at"] = [draw(V6 if ":" in host else V4) for host in to if draw(st.booleans())]
    if draw(st.booleans()):
        made["ports"] = draw(st.lists(PORT, min_size=1, max_size=4, unique=True))
    return made


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    endpoint = st.builds(
        lambda host, port: f"{host}:{port}", st.sampled_from(["0.0.0.0", "[::]", "127.0.0.1"]), st.integers(0, 65535)
    )
    listen = {"udp": draw(st.lists(endpoint, max_size=3)), "tcp": draw(st.lists(endpoint, max_size=3))}
    senders = ["192.0.2.0/24", *draw(NETWORKS)]
    return {
        "listen": listen | {"senders": senders},
        "allow": {"networks": draw(NETWORKS)},
        "http": {"listen": draw(endpoint)},
        "gateway": draw(gateways()),
    }


def accepted(tables: dict[str, Any]) -> str | None:
    """The policy, if the schema takes the configuration."""
    try:
        return ruleset_of(Config.model_validate(tables))
    except ValidationError:
        return None


@pytest.fixture(scope="module")
def namespace() -> Any:
    require_kernel()
    with network() as net:
        yield net.namespace("check")


@pytest.mark.kernel
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(configurations(), min_size=10, max_size=10))
def test_whatever_the_schema_accepts_nft_accepts(
    batch: list[dict[str, Any]], namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [text for tables in batch if (text := accepted(tables))]
    assume(texts)
    directory = tmp_path_factory.mktemp("policies")
    for number, text in enumerate(texts):
        (directory / f"{number}.nft").write_text(text)
    namespace.run("sh", "-ec", f"for text in {directory}/*.nft; do nft -c -f $text; done")


@pytest.mark.kernel
@pytest.mark.parametrize("text", EXAMPLES)
def test_nft_accepts_the_examples_on_the_page(text: str, namespace: Namespace, tmp_path: Path) -> None:
    (tmp_path / "policy.nft").write_text(ruleset_of(parse(text, "docs/gateway.md")) or "")

    namespace.run("nft", "-c", "-f", str(tmp_path / "policy.nft"))
