"""Manual pages' own language: text made safe for it, and what of Markdown our pages use."""

import re
from collections.abc import Iterable
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})
"""What the formatter would read as an escape, or print as another sign than the one to type."""

REQUEST = re.compile(r"^(?=\.|\\\(aq)", re.MULTILINE)
FOREIGN = re.compile(r"[^\x00-\x7f]")

NOTHING = r"\&"
"""An empty line would end the entry."""


def text(words: str) -> str:
    """Plain text as running text. A line of it that begins as a request does is none."""
    escaped = REQUEST.sub(r"\\&", words.translate(ESCAPES))
    return FOREIGN.sub(lambda sign: rf"\[u{ord(sign[0]):04X}]", escaped)


def bold(words: str) -> str:
    return rf"\fB{text(words)}\fR"


def title(name: str, section: int, version: str, date: str) -> str:
    return f'.TH "{name.upper()}" "{section}" "{date}" "zward {version}" "zward"\n.nh\n.ad l\n'


def section(name: str) -> str:
    return f'.SH "{text(name.upper())}"\n'


def subsection(name: str) -> str:
    return f'.SS "{text(name)}"\n'


def paragraph(words: str) -> str:
    return f".PP\n{text(words)}\n"


def listed(rows: Iterable[tuple[str, str]]) -> str:
    """Terms, each with what it means below it."""
    return "".join(f".TP\n{bold(term)}\n{text(meaning) or NOTHING}\n" for term, meaning in rows)


def verbatim(words: str) -> str:
    return f".PP\n.RS 4\n.nf\n{text(words.rstrip())}\n.fi\n.RE\n"


def markdown(source: str) -> str:
    """A page of docs/ without its title. A table's row becomes a term: its first cell, then the others."""
    made, cells = "", list[Token]()
    in_item = in_body = False
    for before, token in pairwise(MarkdownIt().enable("table").parse(source)):
        match token.type:
            case "inline" if before.type == "heading_open":
                if before.tag != "h1":
                    made += (section if before.tag == "h2" else subsection)(_plain(token))
            case "inline" if before.type in ("td_open", "th_open"):
                cells.append(token)
            case "inline":
                made += (".IP \\(bu 3\n" if in_item else ".PP\n") + _inline(token) + "\n"
                in_item = False
            case "list_item_open":
                in_item = True
            case "fence":
                made += verbatim(token.content)
            case "tbody_open" | "tbody_close":
                in_body = token.type == "tbody_open"
            case "tr_open":
                cells = []
            case "tr_close" if in_body:
                made += _row(cells)
    return made


def _row(cells: list[Token]) -> str:
    first, *others = cells
    head = _inline(first) + (f" ({_inline(others[0])})" if len(others) > 1 else "")
    return f".TP\n{head}\n" + "\n.br\n".join(_inline(cell) for cell in (others[1:] or others)) + "\n"


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or ())


def _inline(token: Token) -> str:
    made = ""
    for child in token.children or ():
        match child.type:
            case "text":
                made += text(child.content)
            case "code_inline":
                made += bold(child.content)
            case "softbreak" | "hardbreak":
                made += "\n"
            case "strong_open":
                made += r"\fB"
            case "em_open":
                made += r"\fI"
            case "strong_close" | "em_close":
                made += r"\fR"
    return made
