"""Hooks of MkDocs: reference pages made from the code, and links that leave docs/ lead to copies of their files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = "repository"
"""The site's folder of files from elsewhere in the repository."""
_LINK = re.compile(r"(\]\()([^)#\s]+)")


def _outside(target: str, page: Path) -> str | None:
    """Where a link's file lies in the repository, if that is outside of docs/."""
    path = Path(os.path.normpath(page.parent / target))
    if "://" in target or path.is_relative_to(ROOT / "docs") or not path.is_file():
        return None
    return path.relative_to(ROOT).as_posix()


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages and the files that pages link outside of docs/."""
    from mkdocs.structure.files import File

    linked = set()
    for file in files.documentation_pages():
        page = Path(file.abs_src_path)
        found = (_outside(target, page) for _, target in _LINK.findall(page.read_text(encoding="utf-8")))
        linked |= {target for target in found if target}
    for target in sorted(linked):
        files.append(File.generated(config, _place(target), abs_src_path=str(ROOT / target)))
    files.append(File.generated(config, "reference/workflow.md", content=workflow_page()))
    files.append(File.generated(config, "reference/python.md", content=python_page()))
    return files


def _place(target: str) -> str:
    """A page of Markdown stays a file to read; the site has no place for it in its navigation."""
    return f"{OUTSIDE}/{target}.txt" if target.endswith(".md") else f"{OUTSIDE}/{target}"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ lead to the copies."""
    if page.file.abs_src_path is None:
        return markdown
    source = Path(page.file.abs_src_path)
    up = "../" * page.file.src_uri.count("/")

    def placed(match: re.Match[str]) -> str:
        target = _outside(match[2], source)
        return match[0] if target is None else f"{match[1]}{up}{_place(target)}"

    return _LINK.sub(placed, markdown)


def workflow_page() -> str:
    """The keys of a workflow, a table a section, from its JSON schema."""
    from rivergrad.config.schema import Workflow

    schema = Workflow.model_json_schema()
    lines = [
        "# Keys of a workflow",
        "",
        "This page is made from the schema. `rivergrad schema` prints the schema itself, which editors can use.",
        *_section("", schema, schema["$defs"]),
    ]
    return "\n".join(lines) + "\n"


def _section(name: str, section: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """A heading, a table of keys, and the sections below it."""
    lines = ["", f"## `{name}`" if name else "## The first level", ""]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    below: list[str] = []
    for key, field in section["properties"].items():
        default = _default(field, key in section.get("required", []))
        lines.append(f"| `{key}` | {default} | {_cell(field.get('description', ''))} |")
        for inner in _sections_of(field, known):
            below += _section(f"{name}.{key}" if name else key, inner, known)
    return lines + below


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{_cell(str(value))}`"


def _sections_of(field: dict[str, Any], known: dict[str, Any]) -> list[dict[str, Any]]:
    """The sections that a key may hold: objects with keys of their own."""
    refs = [field.get("$ref"), *(one.get("$ref") for one in field.get("anyOf", []))]
    refs += [field.get("items", {}).get("$ref"), *(one.get("$ref") for one in field.get("allOf", []))]
    found = [known[ref.rpartition("/")[2]] for ref in refs if ref]
    return [one for one in found if "properties" in one]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def python_page() -> str:
    """Every public name, from its docstring."""
    import rivergrad

    lines = [
        "# Python, every name",
        "",
        "`import rivergrad as rg` has these names. [By example](../api.md) shows them at work.",
    ]
    names = sorted((name for name in rivergrad.__all__ if name != "__version__"), key=str.lower)
    for found in (getattr(rivergrad, name) for name in names):
        lines += ["", f"::: {found.__module__}.{found.__qualname__}"]
    return "\n".join(lines) + "\n"
