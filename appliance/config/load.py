"""From a file to a checked `Config`: for the start, for every reload, for `zward check`."""

import os
import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from appliance.config.default import BUILT_IN, default_text
from appliance.config.faults import ConfigError, Fault, fault
from appliance.config.places import FILE_BYTES, VARIABLE
from appliance.config.positions import locate
from appliance.config.schema import Config

_TOML_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def load(path: Path | None) -> Config:
    """Read a file, or the built-in configuration if there is none. Raises ConfigError with every fault."""
    if path is None:
        return parse(default_text(os.geteuid(), os.environ), BUILT_IN)
    return parse(read_text(path), str(path))


def parse(text: str, name: str) -> Config:
    """Read TOML text; `name` stands for the file in messages. Raises ConfigError with every fault."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_fault(name, text, str(error))]) from None
    except ValueError as error:  # a number of more than 4300 digits, which Python refuses to read
        reason = str(error).partition(":")[0]
        raise ConfigError([Fault(name, None, None, f"not TOML: {reason}")]) from None
    except RecursionError:
        raise ConfigError([Fault(name, None, None, "brackets are nested too deeply")]) from None
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        lines = locate(text)
        raise ConfigError([fault(name, lines, detail) for detail in error.errors()]) from None


def read_text(path: Path) -> str:
    """A file's text. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; name a readable file with --config or {VARIABLE}"
        raise ConfigError([Fault(str(path), None, None, reason)]) from None
    if len(content) > FILE_BYTES:
        reason = f"longer than {FILE_BYTES} bytes, the limit for a configuration"
        raise ConfigError([Fault(str(path), None, None, reason)])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"not UTF-8: the byte 0x{content[error.start]:02x}; save the file as UTF-8"
        raise ConfigError([Fault(str(path), line, None, reason)]) from None


def _syntax_fault(name: str, text: str, message: str) -> Fault:
    """`tomllib` puts the place into its message's words."""
    found = _TOML_PLACE.fullmatch(message)
    if not found:
        return Fault(name, None, None, f"not TOML: {message}")
    reason, line, column = found.groups()
    if line:
        return Fault(name, int(line), None, f"not TOML: {reason} (column {column})")
    return Fault(name, text.count("\n") + 1, None, f"not TOML: {reason} (at the end)")
