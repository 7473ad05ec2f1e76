"""The configuration of a command that needs more of it than the daemon's address."""

from pathlib import Path

from appliance.cli.options import CONFIG_INVALID, leave
from appliance.config.faults import ConfigError
from appliance.config.load import load
from appliance.config.places import find
from appliance.config.schema import Config


def config_of(path: Path | None) -> Config:
    """Load the configuration, or end with exit code 5 and every fault on stderr."""
    try:
        return load(find(path))
    except ConfigError as fault:
        leave(str(fault), CONFIG_INVALID)
