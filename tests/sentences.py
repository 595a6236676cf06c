"""How long the sentences of the documentation are, page by page.

    python -m tests.sentences

Prints the median number of words of each page's sentences, and warns where it is above `MOST`; words that plain English
does without are named too. Code, tables, headings and formulas do not count.
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 18
ODD = ("is told", "are told", "is borne", "abroad", "aside", "whence", "thereof", "wherein", "hitherto")
_LEFT_OUT = (r"```.*?```", r"\$\$.*?\$\$", r"^\|.*$", r"^#.*$", r"^!\[.*$", r"^<.*$")


def pages() -> list[Path]:
    """What people read."""
    return [
        *sorted((ROOT / "docs").rglob("*.md")),
        *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING", "ARCHITECTURE")),
    ]


def prose(text: str) -> str:
    """A page without code, tables, headings and formulas, links as their words."""
    for pattern in _LEFT_OUT:
        text = re.sub(
            pattern, "", text, flags=(re.DOTALL if pattern.startswith(("```", r"\$")) else 0) | re.MULTILINE
        )
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def sentence_lengths(text: str) -> list[int]:
    """Words of each sentence; an item of a list begins one, and so does a paragraph."""
    text = re.sub(r"^\s*([-*]|\d+\.)\s+", "\n\n", prose(text), flags=re.MULTILINE)
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])\s+(?=[^a-z])", " ".join(paragraph.split())):
            if len(words := sentence.split()) > 2:
                found.append(len(words))
    return found


def odd_words(text: str) -> list[str]:
    """Those of `ODD` in a page."""
    said = " ".join(prose(text).lower().split())
    return [word for word in ODD if re.search(rf"\b{word}\b", said)]


def main() -> None:
    """Print a line a page, the longest sentences first."""
    rows = []
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if lengths := sentence_lengths(text):
            rows.append((statistics.median(lengths), max(lengths), path, odd_words(text)))
    for median, longest, path, odd in sorted(rows, key=lambda row: -row[0]):
        warning = "  WARNING: above 18" if median > MOST else ""
        named = f"  found: {', '.join(odd)}" if odd else ""
        print(f"{median:5.1f} {longest:4d}  {path.relative_to(ROOT)}{warning}{named}")


if __name__ == "__main__":
    main()
