"""When a line was written, as far as its file tells: years that syslog leaves out, and times that cannot be true."""

from datetime import tzinfo

from appliance.read.stamps import seconds

_DAY = 86400.0
_HALF_A_YEAR = 183 * _DAY

SAME = 60.0
"""Seconds by which a line's own time may differ from its header's and be believed before it: imfile reads every 10 s.
A greater difference is a wrong zone or a file that was sent again, and the header tells when the line arrived."""


class Dating:
    """The times of one file's lines, which have years only here and there."""

    def __init__(self, zone: tzinfo, latest: float, year: int | None) -> None:
        """`latest` is the latest moment that a line can be of; `year` is that of the first line without one."""
        self.last: float | None = None
        """The last time that was read, in seconds since the epoch: whatever has no year is near it."""
        self._zone = zone
        self._latest = latest
        self._year = year

    def of(self, stamp: bytes, own: float | None) -> float | None:
        """The time of a line with a header: `stamp` is the header's, `own` that inside the text. None if in neither."""
        if not stamp[:1].isalpha():
            told = seconds(stamp, 0.0, self._zone)
            return own if told is None or (own is not None and abs(own - told) <= SAME) else told
        return own if own is not None else self._without_year(stamp)

    def _without_year(self, stamp: bytes) -> float | None:
        if self.last is not None:
            return seconds(stamp, self.last + _HALF_A_YEAR - 2 * _DAY, self._zone)
        if self._year is not None:
            return seconds(stamp[:6] + b" %04d" % self._year + stamp[6:], 0.0, self._zone)
        return seconds(stamp, self._latest - 1.5 * _DAY, self._zone)  # which allows two and a half days ahead
