"""Three ways to start the container, the Containerfile and the page about them: all of them say the same."""

import re
import shlex
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import FLAGS, QUADLET, SWITCHES, flags, quadlet

from appliance.config.load import load
from appliance.config.places import INSTALLED
from appliance.model import Mode
from appliance.root.privilege import CAP_NET_ADMIN, CAP_NET_RAW, HELPER
from appliance.version import VERSION

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "image/container/compose.yaml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/container.md").read_text(encoding="utf-8")
CONTAINERFILE = (ROOT / "image/container/Containerfile").read_text(encoding="utf-8")
BUILD = (ROOT / "image/container/build").read_text(encoding="utf-8")

SHORT = {"-v": "--volume", "-d": "--detach"}
IMAGE = f"localhost/zward:{VERSION}"


def typed() -> list[str]:
    """The options of the page's `podman run`, in the long form."""
    [line] = re.findall(r"^podman run -d (.*)$", PAGE, re.MULTILINE)
    *words, image = shlex.split(line)
    assert image == IMAGE
    found: list[str] = []
    for word in words:
        if word.startswith("-"):
            found.append(SHORT.get(word, word))
        else:
            found[-1] += f"={word}"
    return found


def test_the_page_and_the_quadlet_start_the_same() -> None:
    assert sorted(typed()) == sorted(flags())


def test_compose_starts_the_same() -> None:
    assert list(COMPOSE["services"]) == ["zward"]
    service = COMPOSE["services"]["zward"]
    volumes = [each.replace("state:", "zward:") for each in service["volumes"]]
    stands_for = [
        f"--name={service['container_name']}",
        f"--network={service['network_mode']}",
        *(f"--cap-drop={each.lower()}" for each in service["cap_drop"]),
        *(f"--cap-add={each}" for each in service["cap_add"]),
        *(f"--security-opt={each.removesuffix(':true')}" for each in service["security_opt"]),
        *(["--read-only"] if service["read_only"] else []),
        *(f"--tmpfs={each}" for each in service["tmpfs"]),
        *(f"--volume={each}" for each in volumes),
    ]
    assert sorted(stands_for) == sorted(flags())
    assert service["image"] == IMAGE
    assert service["user"] == "0:0"  # Docker gives capabilities to nobody else
    assert not {"privileged", "pid", "ipc", "devices", "ports", "userns_mode"} & set(service)
    assert list(COMPOSE["volumes"]) == ["state"]


def test_the_quadlet_uses_keys_that_podman_documents() -> None:
    known = {*FLAGS, *(each.partition("=")[0] for each in SWITCHES), "Image"}
    assert {key for key, _ in quadlet()} <= known
    assert dict(quadlet())["Image"] == IMAGE

    others = ConfigParser(strict=False, interpolation=None)
    others.optionxform = str  # type: ignore[assignment,method-assign]
    others.read_string(QUADLET.read_text(encoding="utf-8"))
    assert others["Install"]["WantedBy"] == "multi-user.target"
    assert others["Service"]["Restart"] == "always"
    assert others["Service"]["RestartPreventExitStatus"] == "5"
    assert others["Service"]["ExecReload"].endswith(f" {others['Container']['ContainerName']}")


def test_it_is_given_what_the_helper_uses_and_nothing_else() -> None:
    assert {CAP_NET_ADMIN: "NET_ADMIN", CAP_NET_RAW: "NET_RAW"}.keys() == HELPER
    given = {each for each in flags() if each.startswith("--cap-")}
    assert given == {"--cap-drop=all", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW"}


def test_the_configuration_lies_where_zward_looks_and_bans_nobody() -> None:
    assert f"--volume={INSTALLED.parent}:{INSTALLED.parent}:ro" in flags()
    config = load(ROOT / "image/zward.toml")
    assert config.mode is Mode.OBSERVE
    assert f"--volume=zward:{config.store.path.parent}" in flags()
    assert config.admin.socket.is_relative_to("/run")
    assert config.firewall_directory.is_relative_to("/run")


def test_the_containerfile_copies_what_is_let_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) \S+$", CONTAINERFILE, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert sorted(ignored[1:]) == sorted(["*", *(f"!{path}" for path in copied)])
    assert re.search(r"^ARG BASE=docker\.io/library/debian:bookworm-slim$", CONTAINERFILE, re.MULTILINE)
    assert "--require-hashes" in CONTAINERFILE
    assert "--no-index" in CONTAINERFILE


@pytest.mark.parametrize("word", ["SIGTERM", 'CMD ["zward", "health"]', 'ENTRYPOINT ["zward", "run"]'])
def test_the_containerfile_says_how_it_is_ended_asked_and_started(word: str) -> None:
    assert word in CONTAINERFILE


def test_the_users_number_is_the_one_that_the_page_names() -> None:
    [uid] = re.findall(r"--uid (\d+) ", CONTAINERFILE)
    assert uid in PAGE


def test_the_build_names_the_image_by_our_version() -> None:
    assert "localhost/zward:$version" in BUILD
    assert re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0] == VERSION
