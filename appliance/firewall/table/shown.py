"""The table `inet zward` as nft writes and reads it: what `zward firewall show` prints."""

from collections.abc import Iterable, Iterator

from appliance.firewall.orders import Orders
from appliance.firewall.table.layout import TABLE, Extra, Set, chains, counters, port_elements, rules, sets


def text(orders: Orders, *, narrow: bool = True, fenced: bool = True) -> str:
    """The whole table, but for who is banned."""
    extra = orders.extra_ports
    said = rules(orders, narrow=narrow, fenced=fenced)
    parts = [f"counter {name} {{\n\t}}" for name in counters(extra)]
    parts += [
        _block(f"{'set' if made.kind == 'set' else 'map'} {made.name}", _of_set(made, extra))
        for made in sets(extra=extra)
    ]
    for chain in chains(extra):
        hook = [f"type filter hook {chain.hook} priority {chain.priority}; policy accept;"] if chain.hook else []
        parts.append(_block(f"chain {chain.name}", [*hook, *(rule.text for rule in said if rule.chain == chain.name)]))
    return f"table inet {TABLE} {{\n" + "".join(f"\t{part}\n\n" for part in parts) + "}\n"


def _block(head: str, lines: Iterable[str]) -> str:
    return f"{head} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}"


def _of_set(made: Set, extra: Extra) -> Iterator[str]:
    key = f"ipv{made.family}_addr" if made.family else "inet_service"
    yield f"type {key}" if made.kind == "set" else f"type {key} : {made.kind}"
    if made.size:
        yield f"size {made.size}"
    given = {"interval": made.interval, "dynamic": made.dynamic, "timeout": made.timeout}
    if flags := ",".join(flag for flag, is_given in given.items() if is_given):
        yield f"flags {flags}"
    held = [e for e in port_elements(extra) if e.map == made.name]
    if held:
        values = (f"{'jump' if e.jump else 'goto'} {e.chain}" if e.chain else f'"{e.counter}"' for e in held)
        yield "elements = { " + ", ".join(f"{e.port} : {value}" for e, value in zip(held, values, strict=True)) + " }"
