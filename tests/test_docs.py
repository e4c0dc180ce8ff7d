"""The site is complete and linked, and its code and commands are run. These tests need no mkdocs.

`make docs` builds the site, where a warning is an error. CI does not, to keep within its time: it checks here what the
build would find (nav, links, anchors, documented names), and what it would not (code, commands, outputs).
"""

import contextlib
import io
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import prdp
from scripts import docs_hooks

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NAV = list(docs_hooks.pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


def place(page):
    """The file of a page: in docs/, or where it is written."""
    return DOCS / page if (DOCS / page).exists() else ROOT / page


def text(path):
    read = path.read_text()
    return docs_hooks.notebook_markdown(read) if path.suffix == ".ipynb" else read


PAGES = {path: text(path) for path in [ROOT / "README.md", *map(place, NAV)]}
WRITTEN = {path: read for path, read in PAGES.items() if "results" not in path.parts}


def blocks(read, language):
    return re.findall(rf"```{language}\n(.*?)```", read, re.DOTALL)


def prose(read):
    return re.sub(r"```.*?```|`[^`\n]*`", "", read, flags=re.DOTALL)


def test_the_nav_has_every_page_once():
    assert len(set(NAV)) == len(NAV)
    assert [page for page in NAV if not place(page).exists()] == []
    own = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")}
    assert own <= set(NAV)


def anchors(path):
    """What a link can point to: headings, as mkdocs and a forge name them, and documented names."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text(path), flags=re.DOTALL), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^::: (\S+)$", text(path), re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(PAGES[path])):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_site_loads_nothing_from_elsewhere():
    assert yaml.safe_load((ROOT / "mkdocs.yml").read_text())["theme"]["font"] is False
    for path, read in WRITTEN.items():
        assert not re.search(r"!\[[^\]]*\]\(https?:|<(?:script|link|img)\b", prose(read)), path


def test_the_reference_has_every_public_name_once():
    listed = re.findall(r"^::: prdp\.(\w+)$", PAGES[DOCS / "api.md"], re.MULTILINE)
    assert sorted(listed) == sorted(set(prdp.__all__) - {"__version__"})
    for name in re.findall(r"^::: (prdp\.\w+\.\w+)$", PAGES[DOCS / "api.md"], re.MULTILINE):
        module, _, member = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[member]), member), name


def test_no_paragraph_stands_twice():
    seen = {}
    for path, read in WRITTEN.items():
        if path.name != "CHANGELOG.md":
            for paragraph in re.split(r"\n\s*\n", re.sub(r"```.*?```", "", read, flags=re.DOTALL)):
                words = " ".join(paragraph.split())
                assert len(words) < 120 or words not in seen, (path, seen.get(words), words)
                seen[words] = path


# Python: the blocks of a page run in one namespace, and print what the block of text after them says.

RUN = re.compile(r"```python\n(?P<code>.*?)```(?:\n\n```text\n(?P<printed>.*?)```)?", re.DOTALL)


def run(code, names):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, names)
    return said.getvalue()


def test_every_page_with_python_is_run():
    pages = {path for path, read in WRITTEN.items() if blocks(read, "python") and path.suffix == ".md"}
    # Others are run by test_readme and test_extension.
    assert pages == {ROOT / "README.md", DOCS / "extend.md", DOCS / "how.md", DOCS / "faq.md"}


@pytest.mark.parametrize("page", ["how.md", "faq.md"])
def test_the_python_of_a_page_prints_what_it_says(page):
    names: dict = {}
    for block in RUN.finditer(PAGES[DOCS / page]):
        assert run(block["code"], names) == (block["printed"] or "")


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def assert_alike(found, printed):
    """The same words, and numbers within a quarter: rounding moves a refinement by an epoch."""
    assert NUMBER.sub("#", found).split() == NUMBER.sub("#", printed).split()
    for a, b in zip(NUMBER.findall(found), NUMBER.findall(printed), strict=True):
        assert float(a) == pytest.approx(float(b), rel=0.25, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_shows(path):
    names = {"__name__": "__main__"}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            shown = "".join(docs_hooks.printed(output) for output in cell["outputs"])
            assert_alike(run("".join(cell["source"]), names), shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_executed_in_order(path):
    book = json.loads(path.read_text())
    counts = [cell["execution_count"] for cell in book["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert path.stat().st_size < 20_000
    compile("\n".join(blocks(docs_hooks.notebook_markdown(path.read_text()), "python")), path.name, "exec")


# Commands: `make` is asked what it would do, `train.py` trains an epoch or lists its runs.

COMMANDS = sorted(
    {
        line.split("  #")[0].strip()
        for read in WRITTEN.values()
        for block in blocks(read, "bash")
        for line in block.splitlines()
        if line.strip()
    }
)
NOT_RUN = {
    "wandb sync": "uploads: it needs an account and a network",
    "pip install": "changes the environment; test_packaging installs the wheel",
    "--config-dir=conf": "needs the package of the page: test_extension runs it",
}
TRAINING = [c for c in COMMANDS if "train.py" in c and "--config-dir" not in c]


def test_every_command_is_run_or_said_why_not():
    known = [c for c in COMMANDS if c.startswith("make ") or c in TRAINING or any(x in c for x in NOT_RUN)]
    assert known == COMMANDS
    assert [x for x in NOT_RUN if not any(x in c for c in COMMANDS)] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_knows_a_command(command):
    variables = set(re.findall(r"\b([A-Z]+)=", command))
    assert variables <= set(re.findall(r"\$\((?:if \$\()?([A-Z]+)\)", (ROOT / "Makefile").read_text()))
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAINING)
def test_a_training_command_runs(command, train):
    words = shlex.split(command)
    environment = dict(word.split("=", 1) for word in words[: words.index("python")])
    words = words[words.index("train.py") + 1 :]
    many = "-m" in words
    # SLURM itself is started by `make test-slurm`; here its sweep is only listed.
    more = [] if "--help" in words else ["dry_run=true"] if many else ["epochs=1"]
    done = train(*words, *(x for x in more if x not in words), **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr
