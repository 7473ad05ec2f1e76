"""An installed zward, as its users find it: in a place where everybody may go, each part with a user of its own.

The tests run from a checkout with a Python that often lies in somebody's home, closed to others. There the receiver
could only be root. So zward runs in a mount namespace of its own, in which the way is open.
"""

import stat
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "files/reachable.sh"
SYSUSERS = ROOT / "image/systemd/zward.sysusers"

FIRST_UID = 61601
"""Of zward's own users; in the range that systemd hands out for a while, so that nobody has it for good."""


def users() -> dict[str, int]:
    """The users that an installation makes: name → uid."""
    names = [line.split()[1] for line in SYSUSERS.read_text().splitlines() if line.startswith("u ")]
    return {name: FIRST_UID + number for number, name in enumerate(names)}


def command(directory: Path, *, has_users: bool = True) -> tuple[str, ...]:
    """Put before a command, it runs so. `directory` takes the file of users."""
    wanted = users()
    known = [line for line in Path("/etc/passwd").read_text().splitlines() if line.partition(":")[0] not in wanted]
    known += [f"{name}:x:{uid}:{uid}::/:/usr/sbin/nologin" for name, uid in wanted.items() if has_users]
    (directory / "passwd").write_text("\n".join(known) + "\n")
    closed, needed = _closed()
    words = (SCRIPT, directory / "passwd", "\n".join(map(str, closed)), "\n".join(map(str, needed)))
    return ("unshare", "--mount", *map(str, words))


def _closed() -> tuple[list[Path], list[Path]]:
    """Directories that others may not enter, and what they need in there."""
    places = dict.fromkeys(Path(place) for place in (sys.base_prefix, sys.prefix, ROOT))
    places |= dict.fromkeys([place.resolve() for place in places])
    tops = {place: _first_closed(place) for place in places}
    needed = [place for place, top in tops.items() if top]
    outermost = [place for place in needed if not any(other in place.parents for other in needed)]
    return sorted({top for top in tops.values() if top}), outermost


def _first_closed(place: Path) -> Path | None:
    for parent in reversed(place.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            return parent
    return None
