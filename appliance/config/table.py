"""What all tables of the configuration have in common."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, PlainValidator

from appliance.address import Net
from appliance.config.values import network

NETWORKS = 4096
"""The longest list of networks: more make an interval set of the kernel slow to change."""


class Table(BaseModel):
    """No key but the named ones, and no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def at_most(most: int, what: str) -> AfterValidator:
    """A bound for a list's length."""

    def check(values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if values and len(values) > most:
            raise ValueError(f"at most {most} {what}, not {len(values)}")
        return values

    return AfterValidator(check)


Network = Annotated[Net, PlainValidator(network), PlainSerializer(str, when_used="json")]
Networks = Annotated[tuple[Network, ...], at_most(NETWORKS, "networks")]
