"""What the e2e tests need of the machine. Without it they are skipped, or fail if ZWARD_REQUIRE_E2E=1."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.mailhost import TRANSPORTS, MailHost
from e2e.wire import World
from namespaces import why_not

PROGRAMS = ("ip", "ss", "unshare", "setpriv", "nft", "postfix", "saslauthd", "rsyslogd", "swaks", "openssl")


def missing() -> str | None:
    """What keeps these tests from running here, in words; None if nothing does."""
    if reason := why_not():
        return reason
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}; the cure: sudo make test" if absent else None


@pytest.fixture(scope="session")
def machine() -> None:
    if reason := missing():
        if os.environ.get("ZWARD_REQUIRE_E2E") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def world(machine: None) -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module", params=TRANSPORTS)
def mailhost(world: World, request: pytest.FixtureRequest) -> Iterator[MailHost]:
    """A mail host that forwards its log by each transport in turn."""
    with MailHost(world, request.param) as started:
        yield started


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter, unlike pytest's `tmp_path`: zward's parts are no root."""
    with tempfile.TemporaryDirectory(prefix="zward-e2e-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        yield directory
