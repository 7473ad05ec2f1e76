"""What image/vm/ is made of, looked at without building it: hooks, the files of the root, the disk."""

import ast
import importlib.machinery
import importlib.util
import ipaddress
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from image.tools import ED25519, need

from appliance.config.load import parse
from appliance.config.schema import Mode

VM = Path(__file__).resolve().parents[2] / "image" / "vm"
SYSTEMD = VM.parent / "systemd"
FILES = VM / "files"
HOOKS = sorted(path for path in (VM / "hooks").iterdir() if path.name != "target")
PROGRAMS = sorted((FILES / "usr/lib/zward-vm").iterdir())
SHELL = [VM / "build", *HOOKS, *(path for path in PROGRAMS if path.read_text().startswith("#!/bin/sh"))]

NOBODY = 65534


def module(path: Path) -> ModuleType:
    """A program without .py, as a module."""
    loader = importlib.machinery.SourceFileLoader(f"vm_{path.name}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    made = importlib.util.module_from_spec(spec)
    code = compile(path.read_bytes(), str(path), "exec")  # leaves no __pycache__ among the root's files
    exec(code, made.__dict__)
    return made


# Hooks act in the root that the build has begun, and nowhere else.


@pytest.fixture
def ground() -> Iterator[Path]:
    """A directory that a stranger to this checkout can read, with a copy of the hooks in it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        shutil.copytree(VM / "hooks", Path(name, "vm/hooks"))
        Path(name, "vm/files").mkdir()
        yield Path(name)


def ends(hook: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run by somebody who could not harm this machine either if the hook did act."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": "1", "ZWARD_KERNEL": "backports"}
    environment["ZWARD_DEB"] = "/dev/null"
    user = NOBODY if os.geteuid() == 0 else None
    return subprocess.run(
        [hook, *words], env=environment, user=user, group=user, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.name)
def test_a_hook_refuses_whatever_is_not_a_root_that_the_build_has_begun(hook: Path, ground: Path):
    stranger, file, link = ground / "stranger", ground / "file", ground / "link"
    (stranger / "etc").mkdir(parents=True)
    (stranger / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    file.touch()
    link.symlink_to("/")
    if hook.name != "setup00-mark":  # nothing may stand before the guard
        lines = [line for line in hook.read_text().splitlines() if line and line[0] != "#"]
        assert lines[:2] == ["set -eu", '. "${0%/*}/target"']
    places = ("", "/", "//", "/.", str(link), str(file), str(ground / "none"), str(stranger), "relative", "-rf")
    for words in ([], *([place] for place in places)):
        done = ends(ground / "vm/hooks" / hook.name, *words)
        assert done.returncode == 1, f"{words}: {done.returncode}"
        assert "nothing was changed" in done.stderr, f"{words}: {done.stderr}"
    assert [path.name for path in stranger.rglob("*")] == ["etc", "passwd"]


def test_a_marker_that_is_a_link_is_none(ground: Path):
    root = ground / "root"
    root.mkdir()
    (root / ".zward-image-root").symlink_to("/etc/hostname")
    done = ends(ground / "vm/hooks/root30-boot", str(root))
    assert (done.returncode, "is a link" in done.stderr) == (1, True)


def test_the_root_is_marked_before_anything_else_and_once(tmp_path: Path):
    mark = VM / "hooks/setup00-mark"
    subprocess.run([mark, tmp_path], check=True)
    assert [path.name for path in tmp_path.iterdir()] == [".zward-image-root"]
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").touch()
    assert subprocess.run([mark, tmp_path], stderr=subprocess.DEVNULL, check=False).returncode == 1


def test_grub_names_the_kernel_by_links_that_its_updates_keep_up(tmp_path: Path):
    (tmp_path / ".zward-image-root").touch()
    (tmp_path / "boot").mkdir()
    for name in ("vmlinuz", "initrd.img"):
        (tmp_path / "boot" / name).touch()
        (tmp_path / name).symlink_to(f"boot/{name}")
    subprocess.run([VM / "hooks/root30-boot", tmp_path], check=True)
    menu = (tmp_path / "boot/grub/grub.cfg").read_text()
    assert menu.count("menuentry") == 3
    assert len(re.findall(r"^    linux /vmlinuz(\.old)? root=LABEL=zward-root ro .*\bpanic=10\b", menu, re.M)) == 3


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_a_shell_script_is_one(script: Path):
    subprocess.run(["sh", "-n", script], check=True)
    assert script.stat().st_mode & stat.S_IXUSR


def test_the_build_says_what_it_can_be_asked():
    done = subprocess.run([VM / "build", "--kernel", "newest"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:6]) == (2, "usage:")


# The files of the root.


def test_the_machine_comes_closed_and_observing():
    path = FILES / "etc/zward/zward.toml"
    config = parse(path.read_text(), str(path))
    assert config.mode is Mode.OBSERVE
    assert config.gateway
    assert (config.gateway.mode, config.gateway.wan, config.gateway.lan) == ("routed", ("wan",), ("lan",))
    assert config.gateway.publish == ()
    assert all(ipaddress.ip_network(str(network)).is_private for network in config.gateway.admin)


@pytest.mark.parametrize(("kind", "unit", "key"), [("udp", "zward", "Datagram"), ("tcp", "zward-tcp", "Stream")])
def test_what_the_machine_listens_on_is_what_systemd_holds_for_it(kind: str, unit: str, key: str):
    config = parse((FILES / "etc/zward/zward.toml").read_text(), "zward.toml")
    held = re.findall(rf"^Listen{key}=(.*)$", (SYSTEMD / f"{unit}.socket").read_text(), re.M)
    assert [str(each) for each in getattr(config.listen, kind)] == held


def test_every_program_that_a_unit_starts_is_there():
    started = set()
    for unit in (FILES / "etc/systemd/system").rglob("*.*"):
        if unit.is_file():
            started |= set(re.findall(r"^ExecStart=-?(/usr/lib/zward-vm/\S+)", unit.read_text(), re.M))
    assert started == {f"/{path.relative_to(FILES)}" for path in PROGRAMS}
    assert all(path.stat().st_mode & stat.S_IXUSR for path in PROGRAMS)


def test_python_programs_need_what_python_alone_gives():
    for path in (*PROGRAMS, VM / "seed", VM / "disk", VM / "manifest"):
        if not path.read_text().startswith("#!/usr/bin/python3 -I\n"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names, path.name


# Names of the cards.


class Slots:
    """A machine's network cards, as the kernel shows them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cards = root / "sys/class/net"
        self.cards.mkdir(parents=True)
        (root / "etc/systemd/network").mkdir(parents=True)
        (root / "bin").mkdir()
        self._program("udevadm", "exit 0")
        # `ip link set dev A name B`, and `ip link set dev A down`
        self._program("ip", f'[ "$5" = down ] || mv "{self.cards}/$4" "{self.cards}/$6"')

    def _program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def add(self, name: str, slot: str, address: str) -> None:
        device = self.root / "sys/devices" / slot
        device.mkdir(parents=True, exist_ok=True)
        (self.cards / name).mkdir()
        (self.cards / name / "device").symlink_to(device)
        (self.cards / name / "address").write_text(f"{address}\n")

    def start(self) -> dict[str, str]:
        """Name → address, after a start."""
        path = {"PATH": f"{self.root}/bin:/usr/bin:/bin"}
        subprocess.run([FILES / "usr/lib/zward-vm/interfaces", self.root], env=path, check=True, stdout=subprocess.PIPE)
        return {card.name: (card / "address").read_text().strip() for card in self.cards.iterdir()}

    def links(self) -> dict[str, str]:
        """What udev will call which address from the next start on."""
        found = {}
        for path in (self.root / "etc/systemd/network").glob("*.link"):
            text = path.read_text()
            found[text.partition("Name=")[2].strip()] = text.partition("Address=")[2].partition("\n")[0]
        return found


ONE, TWO, THREE = (f"52:54:00:00:00:0{number}" for number in (1, 2, 3))


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path)


def test_cards_are_named_by_their_slots_and_not_by_their_letters(slots: Slots):
    slots.add("enp0s10", "pci0000:00/0000:00:0a.0", TWO)
    slots.add("enp0s3", "pci0000:00/0000:00:03.0", ONE)
    assert slots.start() == {"wan": ONE, "lan": TWO} == slots.links()


def test_cards_that_the_seed_has_named_keep_their_names_without_it(slots: Slots):
    slots.add("lan", "pci0000:00/0000:00:03.0", ONE)
    slots.add("wan", "pci0000:00/0000:00:04.0", TWO)
    assert slots.start() == {"lan": ONE, "wan": TWO} == slots.links()


def test_a_third_card_keeps_the_name_that_it_has(slots: Slots):
    slots.add("enp0s3", "pci0000:00/0000:00:03.0", ONE)
    slots.add("enp0s4", "pci0000:00/0000:00:04.0", TWO)
    slots.add("enp0s5", "pci0000:00/0000:00:05.0", THREE)
    assert slots.start() == {"wan": ONE, "lan": TWO, "enp0s5": THREE}


def test_a_card_in_another_ones_place_gets_the_name_that_is_free(slots: Slots):
    slots.add("wan", "pci0000:00/0000:00:03.0", ONE)
    slots.add("enp0s9", "pci0000:00/0000:00:01.0", THREE)
    assert slots.start() == {"wan": ONE, "lan": THREE} == slots.links()


def test_a_machine_with_one_card_has_wan(slots: Slots):
    slots.add("eth0", "vmbus/1", ONE)
    (slots.cards / "lo").mkdir()
    (slots.cards / "lo/address").write_text("00:00:00:00:00:00\n")
    assert slots.start() == {"wan": ONE, "lo": "00:00:00:00:00:00"}


# The console.


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    made = module(FILES / "usr/lib/zward-vm/console")
    monkeypatch.setattr(made, "SET_UP", tmp_path / "set-up")
    monkeypatch.setattr(made, "NETWORKS", tmp_path)
    return made


class Login(Exception):
    """The console has become the login."""


def test_a_machine_that_is_set_up_asks_for_a_login_and_nothing_else(console: ModuleType, monkeypatch):
    def become(_path: str, words: list[str]) -> None:
        raise Login(words)

    monkeypatch.setattr(os, "execv", become)
    console.SET_UP.touch()
    with pytest.raises(Login, match="agetty"):
        console.main(["/sbin/agetty", "tty1"])


def test_the_password_comes_first_and_closes_the_console(console: ModuleType, monkeypatch):
    asked: list[str] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(words[0])
        assert not console.SET_UP.exists()
        return subprocess.CompletedProcess(words, 1 if len(asked) == 1 else 0)

    def leave(_question: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("builtins.input", leave)
    console.set_up()
    assert asked == ["/usr/bin/passwd", "/usr/bin/passwd"]  # the first two did not agree
    assert console.SET_UP.exists()


def test_an_answer_is_asked_for_until_it_can_be_taken(console: ModuleType, monkeypatch, capsys):
    answers = iter(["192.0.2.1", "192.0.2.1/240", " 192.0.2.1/24 "])
    monkeypatch.setattr("builtins.input", lambda _question: next(answers))
    assert console.asked("address of lan", "", console.interface_address) == "192.0.2.1/24"
    assert "192.0.2.1: the length of the network is missing, such as 192.0.2.1/24" in capsys.readouterr().out


def test_networks_are_written_as_networkd_reads_them(console: ModuleType):
    assert console.wan_file("203.0.113.2/24", "203.0.113.1", "203.0.113.53").splitlines()[-3:] == [
        "Address=203.0.113.2/24",
        "Gateway=203.0.113.1",
        "DNS=203.0.113.53",
    ]
    assert "DHCP=yes\n" in console.wan_file("dhcp", "", "")
    assert console.lan_file("192.0.2.1/24").endswith("Address=192.0.2.1/24\n")
    assert "Address=" not in console.lan_file("")


def test_a_key_cannot_bring_a_second_line(console: ModuleType):
    assert console.ssh_key(ED25519) == ED25519
    with pytest.raises(ValueError, match="no public key"):
        console.ssh_key(ED25519 + "\nssh-rsa other")


# The disk, and what it is compared by.


@pytest.mark.image
def test_a_root_becomes_a_disk_for_both_firmwares(tmp_path: Path):
    need("sfdisk", "mke2fs", "grub-mkimage", "mdir", "debugfs")
    root, raw = tmp_path / "root", tmp_path / "disk.raw"
    (root / "boot/grub").mkdir(parents=True)
    (root / "boot/grub/grub.cfg").write_text("boot\n")
    subprocess.run([VM / "disk", root, raw], check=True)
    with raw.open("rb") as file:
        assert file.read(512)[510:] == b"\x55\xaa"
        file.seek(2048 * 512)
        assert file.read(2) != b"\0\0"  # GRUB's core, where the first sector looks for it
    path = os.environ | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    shown = subprocess.run(["sfdisk", "-J", raw], env=path, capture_output=True, text=True, check=True)
    table = json.loads(shown.stdout)["partitiontable"]
    assert [each["name"] for each in table["partitions"]] == ["bios", "esp", "root"]
    esp, ext4 = (table["partitions"][number]["start"] * 512 for number in (1, 2))
    efi = subprocess.run(["mdir", "-b", "-i", f"{raw}@@{esp}", "::/EFI/BOOT"], capture_output=True, check=True)
    assert b"BOOTX64.EFI" in efi.stdout
    inside = ["debugfs", "-R", "cat /boot/grub/grub.cfg", f"{raw}?offset={ext4}"]
    assert subprocess.run(inside, env=path, capture_output=True, check=True).stdout == b"boot\n"


def test_a_manifest_tells_every_difference(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc/one"
    file.write_text("1")
    (tmp_path / "link").symlink_to("etc/one")
    before = manifest(tmp_path)
    assert len(before) == 3
    assert any(line.startswith("-> etc/one ") for line in before)
    os.utime(file, (0, 0))
    assert manifest(tmp_path) == before
    file.chmod(0o600)
    assert len(set(manifest(tmp_path)) - set(before)) == 1


def manifest(root: Path) -> list[str]:
    done = subprocess.run([VM / "manifest", root], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
