"""Text that is written between two marks of a page."""


def between(text: str, name: str, begin: str, end: str, words: str) -> str:
    """Return a text with other words between its two marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"there is no place for {name}: {begin} ... {end}")
    return f"{before}{begin}{words}{end}{after}"
