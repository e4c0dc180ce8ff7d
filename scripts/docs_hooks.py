"""What mkdocs does not do: pages from outside docs/, notebooks as pages, and links that work on both sides.

The nav of mkdocs.yml names the pages. Those that are not in docs/ are taken from the root of the repository, where
they are written (results/, CHANGELOG.md), with all figures of results/. Links from docs/ to them begin with `../`, as
they do in a clone.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Of the places outside docs/ that the site has.
_OUTSIDE = re.compile(r"\]\((?:\.\./)+(results/|CHANGELOG|CONTRIBUTING)")


def pages(nav: Any) -> Iterator[str]:
    """Yield the pages of a nav, depth first."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(part)


def notebook_markdown(text: str) -> str:
    """Return a notebook as Markdown: code cells as blocks of Python, and what they print as blocks of text.

    Raises:
        ValueError: If an output is not text.
    """
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"]).strip()
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            parts.append(f"```text\n{printed(output).rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def printed(output: dict[str, Any]) -> str:
    """Return the text of an output of a notebook.

    Raises:
        ValueError: If it is not text.
    """
    found = output.get("text", output.get("data", {}).get("text/plain"))
    if found is None:
        raise ValueError(f"an output of the kind {output['output_type']}: allowed is text")
    return "".join(found)


def on_config(config: Any) -> Any:
    """Name notebooks in the nav by the pages that they become."""
    config.nav = json.loads(json.dumps(config.nav).replace(".ipynb", ".md"))
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add notebooks, and pages and figures from outside docs/."""
    from mkdocs.structure.files import File

    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        text = notebook_markdown(Path(file.abs_src_path).read_text())
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=text))
    for page in pages(config.nav):
        if files.get_file_from_path(page) is None:
            files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
    for figure in sorted((ROOT / "results" / "figures").glob("*.png")):
        place = figure.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(figure)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links out of docs/, and to notebooks, point to their pages."""
    up = "../" * page.file.src_uri.count("/")
    if not (ROOT / page.file.src_uri).exists():
        markdown = _OUTSIDE.sub(rf"]({up}\1", markdown)
    return re.sub(r"\]\(([^)\s]+)\.ipynb\)", r"](\1.md)", markdown)
