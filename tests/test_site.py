"""The site of docs/: it builds without a warning, and its reference has every key and every public name."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from examples import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as for readers."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_reference_has_every_key_and_every_name(site: Path) -> None:
    import rivergrad
    from rivergrad.config.load import _keys
    from rivergrad.config.schema import Workflow

    keys = (site / "reference" / "workflow.html").read_text(encoding="utf-8")
    for name, _ in _keys(Workflow):
        assert f"<code>{name.rpartition('.')[2]}</code>" in keys, name
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in set(rivergrad.__all__) - {"__version__"}:
        found = getattr(rivergrad, name)
        assert f'id="{found.__module__}.{found.__qualname__}"' in python, name


def test_links_of_the_site_lead_to_its_files(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links begin at the server's root
            continue
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r'(?:href|src)="([^"#:]+)(?:#[^"]*)?"', text):
            assert (page.parent / unquote(html.unescape(target))).exists(), (page.name, target)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:<script[^>]* src|<link[^>]* rel="stylesheet"[^>]* href)="https?:', text)
