"""A page as a tree of elements. What is text stays text: the tree escapes it when it is written out."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

from appliance.judge.words import visible

Child = Element | str | None


def element(tag: str, *children: Child, **attributes: str | float) -> Element:
    """An element. Strings become its text, whatever they hold; a `_` in an attribute's name is a hyphen or nothing.

    Attributes are ours: nothing from a log goes into one.
    """
    made = Element(tag, {name.rstrip("_").replace("_", "-"): _attribute(value) for name, value in attributes.items()})
    return filled(made, children)


def filled(parent: Element, children: Iterable[Child]) -> Element:
    """The same element with these behind what it holds."""
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif child is not None and len(parent):
            parent[-1].tail = (parent[-1].tail or "") + visible(child)
        elif child is not None:
            parent.text = (parent.text or "") + visible(child)
    return parent


def styled(text: str) -> Element:
    """A style element; its text is ours and never from a log, since HTML does not escape there."""
    made = Element("style")
    made.text = text
    return made


def page(title: str, style: str, *children: Child) -> str:
    """A whole HTML document that loads nothing and runs nothing."""
    html = Element("html", {"lang": "en"})
    head = SubElement(html, "head")
    head.append(element("meta", charset="utf-8"))
    head.append(element("meta", name="viewport", content="width=device-width, initial-scale=1"))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head.append(Element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}))
    head.append(element("title", title))
    head.append(styled(style))
    html.append(element("body", *children))
    return "<!DOCTYPE html>\n" + tostring(html, encoding="unicode", method="html") + "\n"


def _attribute(value: str | float) -> str:
    return visible(value) if isinstance(value, str) else f"{value:g}"
