"""The table `[detect.siege.fence]`: which doors are for known sources only while an account is besieged."""

from typing import Annotated

from pydantic import AfterValidator, Field

from appliance.config.durations import seconds
from appliance.config.gateway import Port
from appliance.config.table import Networks, Table
from appliance.config.values import duration
from appliance.firewall.backend import FENCEABLE


def _doors(ports: tuple[int, ...]) -> tuple[int, ...]:
    if not ports or not set(ports) <= set(FENCEABLE) or len(set(ports)) != len(ports):
        raise ValueError(f"at least one of {', '.join(map(str, FENCEABLE))}, each once")
    return ports


class Fence(Table):
    """New connections to these ports only from allowed and familiar sources, and from these networks."""

    enabled: bool = Field(default=False, strict=True)
    ports: Annotated[tuple[Port, ...], AfterValidator(_doors)] = (587, 465, 993, 995)
    term: Annotated[float, duration("1m", "1h")] = seconds("30m")
    """How long the fence stands after it was asked for last. 1h is `LONGEST_FENCE` of the firewall side."""
    networks: Networks = ()
    """Who else may come: the networks of a country, or of a provider."""
