"""Which zward this is."""

from importlib.metadata import version

VERSION = version("zward")
