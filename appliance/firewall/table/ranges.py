"""Networks as ranges of numbers, for interval sets: these refuse what overlaps."""

from collections.abc import Iterable

from appliance.address import Net


def bounds(nets: Iterable[Net]) -> list[tuple[int, int]]:
    """(first, last) of each run of addresses that networks of one family cover, ascending, with a gap between."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(net.bounds for net in nets):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged
