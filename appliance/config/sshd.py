"""`[sshd]`: whether the lines of OpenSSH's server are judged as well, and which ports it has."""

from typing import Annotated

from pydantic import Field, PlainSerializer, PlainValidator

from appliance.config.table import Table
from appliance.firewall.backend import PORTS
from appliance.firewall.orders import MAX_EXTRA

_EXPECTED = 'one port from 1 to 65535, or several: "22", "1111,2222", [1111, 2222]'


def ports_of(found: object) -> tuple[int, ...]:
    """Ports as one text with commas, or as a list of numbers; none twice, and none that is the mail's."""
    if isinstance(found, str):
        numbers = [_number(part.strip()) for part in found.split(",")]
    elif isinstance(found, list | tuple):
        numbers = [each for each in found if isinstance(each, int) and not isinstance(each, bool)]
        if len(numbers) != len(found):
            raise ValueError(_EXPECTED)
    else:
        raise ValueError(_EXPECTED)
    if not all(1 <= number <= 65535 for number in numbers):
        raise ValueError(_EXPECTED)
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError("at least one port, each once")
    if len(numbers) > MAX_EXTRA:
        raise ValueError(f"at most {MAX_EXTRA} ports, not {len(numbers)}")
    for scope, taken in PORTS.items():
        if both := sorted({*numbers} & {*taken}):
            raise ValueError(f"ports that are sshd's alone; {both[0]} is one of scope {scope.value}")
    return tuple(numbers)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ValueError(_EXPECTED)
    return int(text)


class Sshd(Table):
    """Logins over SSH to the mail hosts."""

    enabled: bool = Field(default=False, strict=True)
    ports: Annotated[tuple[int, ...], PlainValidator(ports_of), PlainSerializer(list, when_used="json")] = (22,)
    """Closed, with all others, to whoever is banned in scope `all`."""
