"""The configuration's `[gateway]` as the policy of the firewall."""

from appliance.address import LOOPBACK, parse_network
from appliance.config.schema import Config
from appliance.config.values import Endpoint
from appliance.firewall.policy import gateway, policy
from appliance.firewall.policy.gateway import Port


def gateway_of(config: Config) -> gateway.Gateway | None:
    """What is to be protected, and how; None without `[gateway]`."""
    if (asked := config.gateway) is None:
        return None
    limits = asked.limits
    return gateway.Gateway(
        mode=asked.mode,
        wan=asked.wan,
        lan=asked.lan,
        bridge=asked.bridge,
        admin=asked.admin,
        management=asked.management,
        snat=asked.snat,
        inside=asked.inside,
        publish=tuple(
            gateway.Publish(publish.scope, publish.to, publish.open_ports, publish.at) for publish in asked.publish
        ),
        limits=gateway.Limits(limits.login, limits.web, limits.smtp_in, limits.admin, limits.favoured),
    )


def ruleset_of(config: Config) -> str | None:
    """The text of the table `inet zward_policy`; None without `[gateway]`."""
    asked = gateway_of(config)
    if asked is None:
        return None
    listened = [("udp", endpoint) for endpoint in config.listen.udp] + [
        ("tcp", endpoint) for endpoint in config.listen.tcp
    ]
    return policy.render(
        asked,
        allowed=config.allow.networks,
        syslog=[Port(transport, endpoint.port) for transport, endpoint in listened if _is_reachable(endpoint)],
        senders=config.listen.senders,
        http=config.http.listen.port if _is_reachable(config.http.listen) else None,
    )


def _is_reachable(endpoint: Endpoint) -> bool:
    """Whether others could come to it; a port that the kernel chooses is nobody's to know."""
    return endpoint.port != 0 and parse_network(endpoint.host) not in LOOPBACK
