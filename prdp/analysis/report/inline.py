"""An SVG of Matplotlib as a part of an HTML page: no namespaces, no clashing names, no idle digits."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# Of a point: what no screen and no printer shows.
_IDLE = re.compile(r"(\d+\.\d{2})\d+")
_COORDINATES = ("d", "x", "y", "points")
# Matplotlib's style sheet would hold for the whole page, and its metadata name addresses in the net.
_DROPPED = ("metadata", "style")


def inline(svg: str, name: str, label: str) -> Markup:
    """Return an SVG element to be put into a page that has others.

    Args:
        svg: a whole file.
        name: that nothing else in the page has; its ids will start with it.
        label: what is read out in place of the drawing.
    """
    root = ElementTree.fromstring(svg)
    _strip(root)
    used = {target for element in root.iter() for target in _targets(element)}
    for element in root.iter():
        _rename(element, name, used)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    root.attrib |= {"class": "plot", "role": "img", "aria-label": label, "style": f"--width: {width:.0f}"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _strip(element: ElementTree.Element) -> None:
    element.tag = _local(element.tag)
    attributes = {_local(key): value for key, value in element.attrib.items()}
    element.attrib.clear()
    element.attrib.update({k: _shorten(v) if k in _COORDINATES else v for k, v in attributes.items()})
    if element.tag not in ("text", "tspan"):
        element.text = (element.text or "").strip()
    element[:] = [child for child in element if _local(child.tag) not in _DROPPED]
    for child in element:
        child.tail = child.tail if element.tag in ("text", "tspan") else ""
        _strip(child)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _shorten(numbers: str) -> str:
    return " ".join(_IDLE.sub(r"\1", numbers).split())


def _targets(element: ElementTree.Element) -> list[str]:
    found = [target for value in element.attrib.values() for target in _REFERENCE.findall(value)]
    return [*found, element.attrib["href"].removeprefix("#")] if "href" in element.attrib else found


def _rename(element: ElementTree.Element, name: str, used: set[str]) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id" and value not in used:
            del element.attrib[key]
        elif key == "id":
            element.attrib[key] = f"{name}-{value}"
        elif key == "href":
            element.attrib[key] = f"#{name}-{value.removeprefix('#')}"
        else:
            element.attrib[key] = _REFERENCE.sub(rf"url(#{name}-\1)", value)
