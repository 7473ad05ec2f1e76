"""How an answer writes a time."""

from datetime import UTC, datetime


def iso(time: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
