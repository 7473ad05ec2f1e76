"""The Debian package: what is in it, and what it does on a fresh system under systemd, from installation to purge."""

import gzip
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.wire import GATEWAY, MAIL, World, wait_until
from image.booted import RELEASES, ROOT, Booted, booted, fresh_root, needed_by, ran, require
from lines import audit_failure

from appliance.cli.main import COMMANDS
from appliance.config.schema import keys

PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.image

HERE = ("debian12", "ubuntu24.04") if os.environ.get("ZWARD_UBUNTU") == "1" else ("debian12",)
"""Ubuntu's archive, unlike Debian's, is not reached from everywhere."""

STARTED = ("zward-firewall.socket", "zward-firewall.service", "zward.service")
BY_HAND = ("zward.socket", "zward-tcp.socket", "zward-6514.socket")

OURS = re.compile(
    r"\./(opt/zward|etc/zward|lib/systemd/system/zward[a-z0-9-]*\.(service|socket)|usr/bin/zward"
    r"|usr/lib/sysusers\.d/zward\.conf|usr/share/(doc/zward|man/man[15]/zward[a-z.-]*\.[15]\.gz)"
    r"|usr/share/(bash-completion/completions/zward|zsh/vendor-completions/_zward|fish/vendor_completions\.d/zward\.fish))"
    r"(/.*)?"
)
"""Every place that the package takes."""

SHARED = re.compile(r"\./((opt|etc|lib|lib/systemd|lib/systemd/system|usr)(/[a-z0-9._/-]*)?)?/?")
"""A directory that is not ours alone."""

BOOKKEEPING = re.compile(
    r"/(proc|sys|dev|run|tmp|var/tmp)(/.*)?|/var/(log|cache|lib/(apt|dpkg|systemd))(/.*)?|/root/[a-z.]+"
    r"|/etc/(passwd|shadow|group|gshadow|subuid|subgid)-|/etc/(ld\.so\.cache|\.pwd\.lock)"
)
"""What the system itself writes down when packages come and go, and what does not outlive a boot."""

ALL_OF_IT = ("-o", "APT::AutoRemove::RecommendsImportant=false", "-o", "APT::AutoRemove::SuggestsImportant=false")
"""apt keeps a dependency that any other package as much as suggests."""

CONFIG = f"""\
mode = "enforce"
[listen]
udp = ["{GATEWAY[4]}:5514"]
senders = ["{MAIL[4]}"]
[zimbra]
hosts = ["{MAIL[4]}"]
"""


def built(release: str) -> Path:
    """The package, made now."""
    said = ran([str(ROOT / "image/deb/build"), release], seconds=400)
    return ROOT / said.split(":")[0]


@pytest.fixture(scope="module", params=HERE)
def release(request: pytest.FixtureRequest) -> str:
    require()
    return str(request.param)


@pytest.fixture(scope="module")
def package(release: str) -> Path:
    return built(release)


@pytest.fixture(scope="module")
def world(release: str) -> Iterator[World]:
    with World() as made:
        yield made


class Site:
    """A fresh system with the package beside it, and what lay in its file system before."""

    def __init__(self, system: Booted, package: Path) -> None:
        self.system = system
        shutil.copy(package, system.root / "root/zward.deb")
        self.accounts = self.names()
        self.before = self.files()
        self._shipped = ""

    @property
    def config(self) -> Path:
        return self.system.root / "etc/zward/zward.toml"

    def install(self, *options: str) -> str:
        """What a user types."""
        done = self.system.run("apt-get", "install", "-y", *options, "/root/zward.deb", seconds=300)
        return done.stdout + done.stderr

    def as_it_comes(self) -> None:
        """Installed, running, and nothing changed, whatever a test before has done."""
        if "ok installed" not in self.system.says("dpkg-query", "-W", "-f", "${Status}", "zward"):
            self.install()
            self._shipped = self._shipped or self.config.read_text()
        if self.config.read_text() != self._shipped:
            self.configure(self._shipped)
        if self.system.says("systemctl", "is-enabled", "zward.service") != "enabled":
            self.system.run("systemctl", "enable", "--now", "zward.service")

    def configure(self, text: str) -> None:
        self.config.write_text(text)
        self.system.run("systemctl", "restart", "zward-firewall", "zward")

    def files(self) -> set[str]:
        """Every path but those of the system's bookkeeping."""
        found = self.system.run("find", "/", "-xdev", "-path", "/proc", "-prune", "-o", "-print").stdout.splitlines()
        return {path for path in found if not BOOKKEEPING.fullmatch(path)}

    def names(self) -> list[str]:
        """Who has an account."""
        return [(self.system.root / f"etc/{name}").read_text() for name in ("passwd", "group", "shadow", "gshadow")]

    def in_kernel(self) -> str:
        """The set of banned addresses; "" where there is no table."""
        return self.system.host.run("nft", "list", "set", "inet", "zward", "ban4").stdout

    def tables(self) -> str:
        return self.system.host.run("nft", "list", "tables").stdout


@pytest.fixture(scope="module")
def site(release: str, package: Path, world: World) -> Iterator[Site]:
    with booted(fresh_root(RELEASES[release], needed_by(package)), world.gateway) as system:
        yield Site(system, package)


@pytest.fixture
def installed(site: Site) -> Site:
    site.as_it_comes()
    return site


def test_the_same_sources_give_the_same_bytes(release: str, package: Path) -> None:
    first = package.read_bytes()
    assert built(release).read_bytes() == first


def test_it_takes_no_place_but_its_own(package: Path) -> None:
    for line in ran(["dpkg-deb", "--contents", str(package)]).splitlines():
        mode, owner, _, _, _, path = line.split(maxsplit=5)
        path = path.split(" -> ")[0]
        assert owner == "root/root", line
        assert "s" not in mode, line
        assert mode[0] == "l" or mode[5] == mode[8] == "-", f"others may write: {line}"
        assert OURS.fullmatch(path.rstrip("/")) or (mode[0] == "d" and SHARED.fullmatch(path)), line
        assert "__pycache__" not in path


def test_the_configuration_is_the_administrators(package: Path) -> None:
    assert ran(["dpkg-deb", "--info", str(package), "conffiles"]).split() == ["/etc/zward/zward.toml"]


def test_its_checksums_name_every_file(package: Path, tmp_path: Path) -> None:
    ran(["dpkg-deb", "--raw-extract", str(package), str(tmp_path / "raw")])
    raw = tmp_path / "raw"
    ran(["sh", "-c", f"cd {raw} && md5sum --check --quiet --strict DEBIAN/md5sums"])
    named = {line.split(maxsplit=1)[1] for line in (raw / "DEBIAN/md5sums").read_text().splitlines()}
    there = {str(path.relative_to(raw)) for path in raw.rglob("*") if path.is_file() and not path.is_symlink()}
    assert there - named == {"etc/zward/zward.toml", *(f"DEBIAN/{path.name}" for path in (raw / "DEBIAN").iterdir())}


def test_every_command_and_every_key_has_its_page(package: Path, tmp_path: Path) -> None:
    ran(["dpkg-deb", "--extract", str(package), str(tmp_path)])
    man = tmp_path / "usr/share/man"
    names = {path.name for path in (man / "man1").iterdir()}
    assert names == {"zward.1.gz", *(f"zward-{name}.1.gz" for name in COMMANDS)}
    page = gzip.decompress((man / "man5/zward.toml.5.gz").read_bytes()).decode("ascii").replace(r"\-", "-")
    assert [key for key in map(".".join, keys()) if rf"\fB{key}\fR" not in page] == []


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_plain_shell(script: str) -> None:
    ran(["sh", "-n", str(ROOT / "image/deb" / script)])
    text = (ROOT / "image/deb" / script).read_text()
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -e\n" in text


def test_it_starts_by_itself_and_bans_nobody(installed: Site) -> None:
    system = installed.system
    assert [system.says("systemctl", "is-active", unit) for unit in STARTED] == ["active"] * len(STARTED)
    assert [system.says("systemctl", "is-enabled", unit) for unit in STARTED] == ["enabled"] * len(STARTED)
    assert "mode observe" in system.run("zward", "status").stdout
    assert system.run("zward", "check").returncode == 0


def test_it_takes_no_port_from_anybody(installed: Site) -> None:
    there = [unit for unit in BY_HAND if (installed.system.root / "lib/systemd/system" / unit).exists()]
    assert there
    for unit in there:
        assert installed.system.says("systemctl", "is-enabled", unit) in ("disabled", "static")
        assert installed.system.says("systemctl", "is-active", unit) == "inactive"


def test_the_page_names_what_is_there(installed: Site) -> None:
    places = re.findall(r"^\| `(/[a-z/.-]+)` \|", PAGE, re.MULTILINE)
    assert len(places) == 8
    assert [
        place for place in places if not (installed.system.root / place[1:]).exists() and "/run/" not in place
    ] == []
    installed.system.run("ls", *(place for place in places if "/run/" in place))
    shipped = {path.name for path in (ROOT / "image/systemd").iterdir()} - {"zward.sysusers"}
    assert set(re.findall(r"`(zward[a-z0-9-]*\.(?:service|socket))`", PAGE)) == shipped


def test_nothing_is_compiled_at_a_start(installed: Site) -> None:
    lib = next((installed.system.root / "opt/zward/lib").iterdir()) / "site-packages/appliance"
    assert list(lib.glob("__pycache__/daemon.*.pyc"))


def test_lines_over_udp_ban_whoever_they_blame(installed: Site, world: World) -> None:
    attack(installed, world, source := world.new_attacker())
    assert f"{source} " in installed.system.run("zward", "bans").stdout
    with world.mail.new_socket(MAIL[4]) as mail:
        mail.bind((MAIL[4], 25))
        mail.listen()
        assert not world.attacker.connects(source, MAIL[4], 25)
        assert world.attacker.connects(world.new_attacker(), MAIL[4], 25)


def attack(site: Site, world: World, source: str) -> None:
    """Have the mail host tell of guessed passwords until that source is in the kernel's set."""
    site.configure(CONFIG)
    with world.mail.new_socket(MAIL[4], kind=2) as sender:
        sender.bind((MAIL[4], 0))
        for number in range(10):
            sender.sendto(audit_failure(source, time.time() - 10 + number), (GATEWAY[4], 5514))
    wait_until(f"{source} is banned; {site.system.says('zward', 'status')}", lambda: source in site.in_kernel())


def test_an_upgrade_starts_it_again_and_keeps_bans(installed: Site, world: World) -> None:
    attack(installed, world, source := world.new_attacker())
    before = installed.system.says("systemctl", "show", "-P", "MainPID", "zward")
    installed.install("--reinstall")
    assert installed.system.says("systemctl", "show", "-P", "MainPID", "zward") not in (before, "0")
    assert source in installed.in_kernel()
    assert source in installed.system.run("zward", "bans").stdout
    assert installed.config.read_text() == CONFIG


def test_what_was_disabled_stays_so_over_an_upgrade(installed: Site) -> None:
    installed.system.run("systemctl", "disable", "--now", "zward.service")
    installed.install("--reinstall")
    assert installed.system.says("systemctl", "is-enabled", "zward.service") == "disabled"
    assert installed.system.says("systemctl", "is-active", "zward.service") == "inactive"


def test_an_upgrade_with_a_faulty_configuration_leaves_running_what_runs(installed: Site) -> None:
    installed.config.write_text("mode = 1\n")
    before = installed.system.says("systemctl", "show", "-P", "MainPID", "zward", "zward-firewall")
    said = installed.install("--reinstall")
    assert re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)[0] in said
    assert installed.system.says("systemctl", "show", "-P", "MainPID", "zward", "zward-firewall") == before


def test_removal_takes_the_rules_away_and_a_return_brings_the_bans_back(installed: Site, world: World) -> None:
    attack(installed, world, source := world.new_attacker())
    installed.system.run("apt-get", "remove", "-y", "zward")
    assert installed.tables() == ""
    assert installed.system.says("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "zward*") == ""
    assert installed.config.read_text() == CONFIG
    installed.install()
    wait_until(f"{source} is banned again", lambda: source in installed.in_kernel())


def test_a_purge_leaves_nothing(installed: Site, world: World) -> None:
    system = installed.system
    attack(installed, world, world.new_attacker())
    system.run("apt-get", "autoremove", "--purge", "-y", *ALL_OF_IT, "zward", seconds=300)
    assert installed.tables() == ""
    assert installed.files() == installed.before
    assert installed.names() == installed.accounts
    assert "zward" not in system.says("systemctl", "list-unit-files")
    assert system.says("find", "/run", "/var/lib/systemd", "/var/log", "/tmp", "/var/tmp", "-name", "*zward*") == ""
    assert system.says("systemctl", "is-system-running") == "running"
