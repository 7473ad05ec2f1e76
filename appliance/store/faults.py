"""What can go wrong with the store."""


class StoreError(Exception):
    """The disk did not take or give what was asked: full, read-only, damaged. The message is the fact."""
