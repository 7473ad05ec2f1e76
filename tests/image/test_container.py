"""The container as it is used: built by podman, on a gateway, fed by a real rsyslog, as root and as another user."""

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from containers import BASE, IMAGE, PROGRAMS, Container, Podman, flags, podman
from e2e.conftest import missing
from e2e.mailhost import POSTFIX_PORTS, MailHost
from e2e.wire import CLIENT, GATEWAY, MAIL, PORTS, World, wait_until

from appliance.root.privilege import CAP_NET_ADMIN, HELPER, held
from appliance.version import VERSION

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]

LARGEST = 350_000_000
"""Bytes of the image, with all of Debian in it."""
STOP = 10.0
"""Seconds after which podman kills."""
LIMIT = 6
"""Wrong passwords that the guessing detector bans for."""

CONFIG = f"""\
mode = "enforce"
[listen]
udp = ["{GATEWAY[4]}:5514"]
tcp = ["{GATEWAY[4]}:5514"]
senders = ["192.0.2.0/24"]
[zimbra]
hosts = ["192.0.2.0/24", "127.0.0.0/8"]
[http]
listen = "127.0.0.1:9514"
[ladder]
steps = ["10m"]
jitter = 0.0
"""

HARDENED = flags(without=("ContainerName", "Network", "Volume"))
"""Of the delivered quadlet, with another network and other volumes."""

USERS = {"root": ("", ()), "zward": (":U", ("--user=zward",))}
"""Who it runs as → how the volume is mounted, and what `podman run` is told besides."""
UIDS = {"root": 0, "zward": 61514}

Record = Callable[[str, object], None]
Start = Callable[..., AbstractContextManager[Container]]


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    reason = missing() or (f"not installed: {', '.join(absent)}; the cure: .ci/packages image" if absent else None)
    if reason and os.environ.get("ZWARD_REQUIRE_E2E") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with podman() as made:
        yield made


@pytest.fixture(scope="module")
def built(engine: Podman) -> Podman:
    engine.first_build = engine.build()
    return engine


@pytest.fixture(scope="module")
def world(engine: Podman) -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def mailhost(world: World) -> Iterator[MailHost]:
    with MailHost(world, "tcp-octet-counted") as started:
        yield started


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zward-etc-") as made:
        place = Path(made)
        place.chmod(0o755)
        (place / "zward.toml").write_text(CONFIG)
        yield place


@pytest.fixture
def start(built: Podman, world: World, config: Path, user: str) -> Iterator[Start]:
    """Starts containers that share one volume; what they leave in the kernel goes at the end."""
    how, more = USERS[user]
    volume = f"state-{user}-{config.name}"

    def starting(*options: str) -> AbstractContextManager[Container]:
        return Container(built, world.gateway, config, f"{volume}:/var/lib/zward{how}", *HARDENED, *more, *options)

    yield starting
    world.gateway.run("nft", "delete", "table", "inet", "zward")


@pytest.fixture
def zward(start: Start) -> Iterator[Container]:
    with start() as container:
        healthy(container)
        yield container


def healthy(container: Container) -> None:
    try:
        wait_until("it is ready", container.is_ready, 60)
    except AssertionError as late:
        raise AssertionError(f"{late}; it said: {container.said}") from late
    assert container.is_healthy()


def banned(world: World) -> dict[str, int]:
    """The kernel's banned addresses, with the seconds that each has left."""
    listed = world.gateway.run("nft", "--json", "list", "set", "inet", "zward", "ban4")
    if listed.returncode:
        return {}
    [found] = [row["set"] for row in json.loads(listed.stdout)["nftables"] if "set" in row]
    return {each["elem"]["val"]: each["elem"]["expires"] for each in found.get("elem", [])}


# The image


def test_it_is_built_from_the_wheels_and_is_small(built: Podman, record_property: Record) -> None:
    cached = built.build()
    whole, base = (int(built.run("image", "inspect", "--format", "{{.Size}}", name)) for name in (IMAGE, BASE))

    record_property("container_build_seconds", round(built.first_build, 1))
    record_property("container_build_cached_seconds", round(cached, 1))
    record_property("container_image_megabytes", round(whole / 1e6))
    record_property("container_image_megabytes_without_base", round((whole - base) / 1e6))
    assert whole <= LARGEST


def test_nothing_in_it_installs_or_compiles(built: Podman) -> None:
    looks = "for name in cc gcc ld make pip pip3 uv curl wget; do command -v $name && exit 1; done; "
    looks += "find /opt /usr -name pip -o -name 'pip-*' | head -n 1 | grep . && exit 1; exit 0"

    done = built.tried("run", "--rm", "--network=none", "--entrypoint=/bin/sh", IMAGE, "-c", looks)

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_says_what_it_is(built: Podman) -> None:
    whole = json.loads(built.run("image", "inspect", IMAGE))[0]

    told = whole["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in told["Labels"].items()}
    assert labels["title"] == "zward"
    assert labels["version"] == VERSION
    assert told["Entrypoint"] == ["zward", "run"]
    assert told["StopSignal"] in ("SIGTERM", "15")
    assert "User" not in told or not told["User"]
    assert (whole.get("Healthcheck") or told["Healthcheck"])["Test"] == ["CMD", "zward", "health"]


def test_the_pages_check_of_a_configuration_works(built: Podman, config: Path) -> None:
    page = (ROOT / "docs/container.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^podman (run --rm .*)$", page, re.MULTILINE)
    words = line.replace("/etc/zward:/etc", f"{config}:/etc").replace(f"localhost/zward:{VERSION}", IMAGE).split()

    assert built.tried(*words).returncode == 0
    (config / "zward.toml").write_text('mode = "certain"\n')
    assert built.tried(*words).returncode == 5


def test_the_same_wheels_give_the_same_files(built: Podman) -> None:
    """Debian's own packages may be newer by the next build; what is zward's is the same to the last byte."""
    sums = "cd /opt/zward && find . -type f ! -name '*.so' -exec sha256sum {} + | sort"
    alone = ("run", "--rm", "--network=none", "--entrypoint=/bin/sh")
    before = built.run(*alone, IMAGE, "-c", sums)
    built.run("image", "untag", IMAGE)

    built.build("--no-cache")

    assert ".pyc" in before
    assert built.run(*alone, IMAGE, "-c", sums) == before


# In service


def test_it_is_soon_healthy(start: Start, record_property: Record) -> None:
    began = time.monotonic()
    with start() as container:
        healthy(container)
        record_property("container_start_to_healthy_seconds", round(time.monotonic() - began, 2))


def test_the_helper_alone_holds_capabilities_and_the_receiver_none(zward: Container, user: str) -> None:
    parts = zward.parts()

    helper, receiver = held(parts["helper"]), held(parts["receiver"])
    assert helper.effective == helper.permitted == HELPER
    assert receiver.effective == receiver.permitted == receiver.inheritable == receiver.ambient == frozenset()
    for pid in parts.values():
        part = held(pid)
        assert part.uid == UIDS[user]
        assert part.bounding == HELPER, "the container has no other to give"
        assert part.no_new_privileges


def test_a_guesser_is_shut_out_a_second_client_is_not_and_unban_works(
    world: World, mailhost: MailHost, zward: Container
) -> None:
    attacker = world.new_attacker()
    assert world.attacker.open_ports(attacker, MAIL[4]) == set(PORTS)
    for number in range(LIMIT):
        mailhost.guess(attacker, POSTFIX_PORTS[number % len(POSTFIX_PORTS)])
    wait_until(f"{attacker} is banned", lambda: attacker in banned(world))

    assert world.attacker.open_ports(attacker, MAIL[4]) == set()
    assert world.client.open_ports(CLIENT[4], MAIL[4]) == set(PORTS)
    [ban] = json.loads(zward.exec("zward", "bans", "--json").stdout)
    assert (ban["address"], ban["detector"]) == (attacker, "guessing")

    lifted = zward.exec("zward", "unban", attacker)
    assert lifted.returncode == 0, lifted.stderr
    assert world.attacker.open_ports(attacker, MAIL[4]) == set(PORTS)


def test_it_stops_by_itself_and_in_time(zward: Container, record_property: Record) -> None:
    seconds = zward.stop()

    record_property("container_stop_seconds", round(seconds, 2))
    assert seconds < STOP, "podman had to kill it"
    assert zward.state("ExitCode") == "0", zward.said


def test_a_stop_right_after_the_start_is_heeded_too(start: Start) -> None:
    with start() as container:
        wait_until("it begins", lambda: "appliance.root.supervisor" in container.said)
        assert container.stop() < STOP
        assert container.state("ExitCode") == "0"


def test_bans_go_on_in_a_new_container_on_a_kernel_that_forgot_them(world: World, start: Start) -> None:
    address = "203.0.113.66"
    with start() as first:
        healthy(first)
        done = first.exec("zward", "ban", address, "--for", "10m", "--reason", "trial")
        assert done.returncode == 0, done.stderr
        first.stop()
        before = banned(world)[address]
    world.gateway.run("nft", "delete", "table", "inet", "zward")  # as a reboot would

    with start() as second:
        healthy(second)
        assert 0 < banned(world)[address] <= before
        [ban] = json.loads(second.exec("zward", "bans", "--json").stdout)
        assert (ban["address"], ban["reason"]) == (address, "trial")


def test_what_ends_inside_without_a_parent_is_buried(zward: Container) -> None:
    assert zward.exec("sh", "-c", "sleep 0.1 & exit 0").returncode == 0

    def states() -> list[str]:
        return zward.engine.run("top", zward.name, "state", "comm").splitlines()[1:]

    wait_until("the orphan has ended", lambda: not any("sleep" in each and each[0] != "Z" for each in states()))
    wait_until("and is buried", lambda: len(states()) == 3)


def test_a_helper_that_is_killed_is_back_and_enforces(world: World, zward: Container) -> None:
    before = zward.parts()
    os.kill(before["helper"], signal.SIGKILL)
    wait_until("another one is there", lambda: zward.parts().get("helper", before["helper"]) != before["helper"])

    assert held(zward.parts()["helper"]).effective == HELPER
    assert zward.exec("zward", "ban", "203.0.113.67", "--for", "10m", "--reason", "trial").returncode == 0
    assert "203.0.113.67" in banned(world)


def test_a_reload_by_signal_takes_up_a_changed_configuration(zward: Container, config: Path) -> None:
    (config / "zward.toml").write_text(CONFIG.replace('"enforce"', '"observe"'))

    zward.engine.run("kill", "--signal", "HUP", zward.name)

    wait_until("it observes", lambda: "mode observe" in zward.exec("zward", "status").stdout)


def test_without_net_raw_it_bans_all_the_same(built: Podman, world: World, config: Path, user: str) -> None:
    how, more = USERS[user]
    words = [each for each in HARDENED if each != "--cap-add=NET_RAW"]
    assert len(words) == len(HARDENED) - 1
    with Container(built, world.gateway, config, f"raw-{user}:/var/lib/zward{how}", *words, *more) as container:
        healthy(container)
        assert held(container.parts()["helper"]).effective == {CAP_NET_ADMIN}
        assert container.exec("zward", "ban", "203.0.113.68", "--for", "10m", "--reason", "trial").returncode == 0
        assert "203.0.113.68" in banned(world)
    world.gateway.run("nft", "delete", "table", "inet", "zward")


def test_without_net_admin_it_observes_is_not_healthy_and_says_what_cures_it(
    built: Podman, world: World, config: Path, user: str
) -> None:
    how, more = USERS[user]
    words = [each for each in HARDENED if not each.startswith("--cap-add")]
    with Container(built, world.gateway, config, f"none-{user}:/var/lib/zward{how}", *words, *more) as container:
        wait_until("it is up", lambda: container.exec("zward", "status").returncode == 0, 60)
        assert not container.is_healthy()
        told = container.exec("zward", "health")
        assert (told.returncode, "--cap-add NET_ADMIN" in told.stdout) == (1, True)
        assert "OBSERVING ONLY, nothing is blocked" in container.said
        assert container.stop() < STOP
        assert container.state("ExitCode") == "0"


def test_a_faulty_configuration_ends_it_with_5_and_names_the_place(start: Start, config: Path) -> None:
    (config / "zward.toml").write_text('mode = "certain"\n')
    with start() as container:
        wait_until("it has ended", lambda: container.state("Status") == "exited")
        assert container.state("ExitCode") == "5"
        assert "/etc/zward/zward.toml:1" in container.said


def test_a_volume_of_another_user_is_told_with_its_cure(built: Podman, world: World, config: Path) -> None:
    volume = f"foreign-{config.name}:/var/lib/zward"
    with Container(built, world.gateway, config, f"{volume}:U", *HARDENED, "--user=zward") as container:
        healthy(container)
    with Container(built, world.gateway, config, volume, *HARDENED) as container:
        wait_until("it has ended", lambda: container.state("Status") == "exited")
        assert container.state("ExitCode") == "1"
        assert "/var/lib/zward belongs to uid 61514, and this is root" in container.said
        assert "chown -R 0:0 /var/lib/zward" in container.said
    world.gateway.run("nft", "delete", "table", "inet", "zward")
