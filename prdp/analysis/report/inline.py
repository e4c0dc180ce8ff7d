"""SVG drawings of Matplotlib inside an HTML page: no namespaces, unique ids, short numbers, values to hover."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

from prdp.analysis.figures.style import HOVER

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# Digits beyond a hundredth of a point, which neither screen nor printer shows.
_IDLE = re.compile(r"(\d+\.\d{2})\d+")
_COORDINATES = ("d", "x", "y", "points")
# Matplotlib's style sheet would apply to the whole page, and its metadata contain web addresses.
_DROPPED = ("metadata", "style")


def inline(svg: str, name: str, label: str) -> Markup:
    """Return an SVG element for a page that has others.

    A group whose id starts with `HOVER` shows the rest of its id while the pointer is on it.

    Args:
        svg: the content of a file.
        name: unique in the page; the ids of the element start with it.
        label: the text for screen readers.
    """
    root = ElementTree.fromstring(svg)
    _strip(root)
    for element in root.iter():
        _show(element)
    used = {target for element in root.iter() for target in _targets(element)}
    # Matplotlib's ids of clip paths differ from one drawing to the next.
    present = [e.attrib["id"] for e in root.iter() if e.attrib.get("id") in used]
    names = {old: f"{name}-{i}" for i, old in enumerate(present)}
    for element in root.iter():
        _rename(element, names)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    root.attrib |= {"class": "plot", "role": "img", "aria-label": label, "style": f"--width: {width:.0f}"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _show(element: ElementTree.Element) -> None:
    name = element.attrib.get("id", "")
    if name.startswith(HOVER):
        del element.attrib["id"]
        element.attrib["class"] = "value"
        title = ElementTree.Element("title")
        title.text = name.removeprefix(HOVER)
        element.insert(0, title)


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


def _rename(element: ElementTree.Element, names: dict[str, str]) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id" and value not in names:
            del element.attrib[key]
        elif key == "id":
            element.attrib[key] = names[value]
        elif key == "href":
            element.attrib[key] = f"#{names[value.removeprefix('#')]}"
        else:
            element.attrib[key] = _REFERENCE.sub(lambda found: f"url(#{names[found[1]]})", value)
