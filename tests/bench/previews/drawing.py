"""Pictures of dashboards: Grafana's panel components in a headless Chromium, fed with recorded answers."""

import contextlib
import hashlib
import json
import shutil
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from bench.previews.node import ToolError, run, tools

WIDTHS = {"wall": 1920}
"""Pixels; 1600 for all others."""
HEIGHTS = {"wall": 1080}
"""Where it has to fit on a screen."""
HEAD = 97
"""Pixels above the panels: where one is, and the variables."""
FONTS = {400: "Inter-Regular.woff2", 500: "Inter-Medium.woff2"}
"""Weight → what Grafana's styles ask for. Grafana has a newer cut of the same typeface; it is not published alone."""
KEY = b"dashboard-sha256"
"""Of the text in a picture that says which dashboard it shows."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def size_of(name: str, dashboard: dict[str, Any]) -> tuple[int, int]:
    """Width and height of a dashboard's picture: rows of 30 px with 8 px between them, as Grafana has them."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    return WIDTHS.get(name, 1600), HEIGHTS.get(name, HEAD + 38 * bottom + 16)


def built() -> Path:
    """The page, bundled, in a directory that can be served."""
    place = tools()
    run(place, "npm", "run", "--silent", "build")
    page, modules = place / "www", place / "node_modules"
    shutil.copy(place / "index.html", page)
    images = modules / "@grafana" / "ui" / "dist" / "public" / "img"
    shutil.copytree(images, page / "public" / "build" / "img", dirs_exist_ok=True)
    fonts = page / "public" / "fonts" / "inter"
    fonts.mkdir(parents=True, exist_ok=True)
    for weight, name in FONTS.items():
        shutil.copy(modules / "@fontsource" / "inter" / "files" / f"inter-latin-{weight}-normal.woff2", fonts / name)
    return page


def draw(name: str, source: bytes, told: dict[str, Any], page: Path, into: Path) -> Path:
    """The picture of one dashboard, named after it. Raises ToolError with what went wrong in the page."""
    width, height = size_of(name, told["dashboard"])
    (page / "told.json").write_text(json.dumps(told))
    with tempfile.TemporaryDirectory() as scratch, _served(page) as (address, faults):
        picture = Path(scratch) / "shot.png"
        run(
            Path(scratch), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars",
            f"--user-data-dir={scratch}/profile", f"--window-size={width},{height}", "--virtual-time-budget=15000",
            f"--screenshot={picture}", address,
        )  # fmt: skip
        if faults != ["[]"]:
            raise ToolError(f"{name}: {faults or 'the page never came to its end'}")
        small = Path(scratch) / "small.png"
        run(page.parent, "node", "small.mjs", str(picture), str(small))
        target = into / f"{name}.png"
        target.write_bytes(marked(small.read_bytes(), hashlib.sha256(source).hexdigest()))
    return target


class _Served(SimpleHTTPRequestHandler):
    """Gives the page, and takes what it has to say at its end."""

    faults: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.faults.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def _served(page: Path) -> Iterator[tuple[str, list[str]]]:
    _Served.faults.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Served, directory=str(page))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html", _Served.faults
        finally:
            server.shutdown()
            thread.join()


# PNG (RFC 2083): a signature, then chunks of length, type, content and CRC


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each. Raises ValueError for what is no PNG."""
    if not png.startswith(SIGNATURE):
        raise ValueError("no PNG")
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def marked(png: bytes, digest: str) -> bytes:
    """The picture with the dashboard's digest in a text of its own, behind the header."""
    header, *others = chunks(png)
    text = b"tEXt", KEY + b"\0" + digest.encode()
    return SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (header, text, *others)
    )


def mark_of(png: bytes) -> str:
    """The digest of the dashboard that the picture shows; "" where it does not say."""
    texts = (content.partition(b"\0") for kind, content in chunks(png) if kind == b"tEXt")
    return next((digest.decode() for key, _, digest in texts if key == KEY), "")


def dimensions(png: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    _, header = next(chunks(png))
    width, height = struct.unpack_from(">II", header)
    return width, height
