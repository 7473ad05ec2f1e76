"""What a reload cannot take up by itself."""

from appliance.config.schema import Config
from appliance.model import Mode


def needs_load(old: Config, new: Config) -> list[str]:
    """Keys that changed and that root has to load into the firewall: `zward firewall load`."""
    if new.mode is Mode.OBSERVE and not (old.gateway or new.gateway):
        return []
    loaded = {
        "gateway": (old.gateway, new.gateway),
        "firewall": (old.firewall, new.firewall),
        "zimbra.hosts": (old.zimbra.hosts, new.zimbra.hosts),
        "zimbra.proxies": (old.zimbra.proxies, new.zimbra.proxies),
        "listen": (old.listen, new.listen),
        "allow.networks": (old.allow.networks, new.allow.networks),
        "sshd": (old.sshd, new.sshd),
        "detect.siege.fence": (old.detect.siege.fence, new.detect.siege.fence),
    }
    return [key for key, (before, after) in loaded.items() if before != after]


def needs_restart(old: Config, new: Config) -> list[str]:
    """Keys that changed and take effect at the next start only."""
    fixed = {
        "http.listen": (old.http.listen, new.http.listen),
        "store.path": (old.store.path, new.store.path),
        "admin.socket": (old.admin.socket, new.admin.socket),
        "firewall.directory": (old.firewall_directory, new.firewall_directory),
        "listen.frame_limit": (old.listen.frame_limit, new.listen.frame_limit),
        "listen.connections": (old.listen.connections, new.listen.connections),
        "listen.connections_per_sender": (old.listen.connections_per_sender, new.listen.connections_per_sender),
        "listen.frame_timeout": (old.listen.frame_timeout, new.listen.frame_timeout),
    }
    return [key for key, (before, after) in fixed.items() if before != after]
