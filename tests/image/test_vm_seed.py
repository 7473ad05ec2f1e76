"""The seed disk: what is on it, and what is refused."""

import json
import stat
import subprocess
from pathlib import Path

import pytest
from image.tools import ED25519, need

pytestmark = pytest.mark.image

VM = Path(__file__).resolve().parents[2] / "image" / "vm"
ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
PASSWORD_HASH = "$6$abcdefgh$0123456789./ABC"


def seed(*words: object) -> subprocess.CompletedProcess[str]:
    need("mformat", "mcopy", "mtype")
    return subprocess.run([VM / "seed", *map(str, words)], capture_output=True, text=True, check=False)


def said(image: Path, name: str) -> str:
    done = subprocess.run(["mtype", "-i", image, f"::{name}"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pub"
    path.write_text(ED25519 + "\n")
    return path


def test_a_seed_says_what_it_was_given(tmp_path: Path, key: Path):
    image, config = tmp_path / "seed.img", tmp_path / "zward.toml"
    config.write_text('mode = "observe"\n# "quoted": \\ and ü\n')
    done = seed(
        *("--hostname", "gate.example.org", "--ssh-key", key, "--password-hash", PASSWORD_HASH, "--config", config),
        *("--wan", f"{ONE}=203.0.113.2/24,2001:db8::2/64,203.0.113.1,2001:db8::1", "--lan", f"{TWO}=192.0.2.1/24"),
        *("--dns", "203.0.113.53", "--output", image),
    )
    assert (done.returncode, done.stderr) == (0, "")
    head, _, body = said(image, "user-data").partition("\n")
    assert head == "#cloud-config"
    user = json.loads(body)
    root = {"name": "root", "ssh_authorized_keys": [ED25519], "hashed_passwd": PASSWORD_HASH, "lock_passwd": False}
    assert user["users"] == [root]
    assert user["write_files"][0]["content"] == config.read_text()
    assert user["write_files"][0]["path"] == "/etc/zward/zward.toml"
    cards = json.loads(said(image, "network-config"))["ethernets"]
    assert cards["wan"]["match"] == {"macaddress": ONE}
    assert cards["wan"]["addresses"] == ["203.0.113.2/24", "2001:db8::2/64"]
    assert [route["to"] for route in cards["wan"]["routes"]] == ["0.0.0.0/0", "::/0"]
    assert cards["wan"]["nameservers"] == {"addresses": ["203.0.113.53"]}
    assert cards["lan"]["set-name"] == "lan"
    assert json.loads(said(image, "meta-data"))["local-hostname"] == "gate.example.org"
    assert stat.S_IMODE(image.stat().st_mode) == 0o600


def test_the_same_words_give_the_same_seed_and_others_another_instance(tmp_path: Path, key: Path):
    images = [tmp_path / name for name in ("one", "two", "three")]
    for image, name in zip(images, ("gate", "gate", "other"), strict=True):
        assert seed("--hostname", name, "--ssh-key", key, "--output", image).returncode == 0
    assert images[0].read_bytes() == images[1].read_bytes()
    identities = {json.loads(said(image, "meta-data"))["instance-id"] for image in images}
    assert len(identities) == 2


def test_a_seed_is_overwritten_only_if_that_is_asked_for(tmp_path: Path, key: Path):
    image = tmp_path / "seed.img"
    image.write_text("mine")
    assert "--force" in seed("--ssh-key", key, "--output", image).stderr
    assert image.read_text() == "mine"
    assert seed("--ssh-key", key, "--output", image, "--force").returncode == 0
    assert image.stat().st_size == 1440 * 1024
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.pub", "seed.img"]


def test_a_seed_without_a_way_in_is_said_to_be_one(tmp_path: Path):
    done = seed("--output", tmp_path / "seed.img")
    assert (done.returncode, "nobody will be able to log in" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--hostname", "-gate"),
        ("--hostname", "gate\nruncmd: [reboot]"),
        ("--password-hash", "secret"),
        ("--wan", "203.0.113.2/24"),
        ("--wan", f"{ONE}=203.0.113.2"),
        ("--lan", f"{ONE}=192.0.2.1/24,router"),
        ("--dns", "ns.example.org"),
        ("--ssh-key", "/nonexistent"),
        ("--ssh-key", VM / "seed"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, option: str, value: str):
    done = seed(option, value, "--output", tmp_path / "seed.img")
    assert (done.returncode, f"argument {option}" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
