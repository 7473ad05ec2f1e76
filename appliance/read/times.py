"""Times inside log lines, which have no zone of their own, as seconds since the epoch."""

from datetime import datetime, tzinfo
from functools import lru_cache


@lru_cache(maxsize=4096)
def epoch(stamp: bytes, layout: str, zone: tzinfo) -> float | None:
    """Read `stamp` by a strptime layout, in `zone` where the layout names none. None where it is no time.

    Cached because a busy log repeats each second many times; strptime costs 8 µs.
    """
    try:
        moment = datetime.strptime(stamp.decode("ascii"), layout)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
