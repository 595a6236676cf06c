"""The scripts of the page, and the policy that allows just them.

Charts are Bokeh's: its wheel carries the JavaScript, which is put into the page when that is written. Nothing of it is
in this package. The map, the table and what ties them together are the files in `assets/`. They use Bokeh's API without
its callbacks in text, so that the page needs no `unsafe-eval`.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from rivergrad.errors import InputError

ASSETS = Path(__file__).parents[1] / "assets"
OF_BOKEH = ("bokeh.min.js", "bokeh-api.min.js")
OF_PAGE = ("data.js", "theme.js", "map.js", "charts.js", "table.js", "page.js")


@dataclass(frozen=True)
class Script:
    """A script as it stands between its tags."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """What a content-security policy calls it."""
        found = hashlib.sha256(self.text.encode("utf-8")).digest()
        return f"'sha256-{base64.b64encode(found).decode('ascii')}'"


@cache
def scripts() -> tuple[Script, ...]:
    """Bokeh's scripts and the page's own, in the order in which they run.

    Raises:
        InputError: Bokeh is not installed, or lacks its JavaScript.
    """
    found = [Script(name, _inline(_bokeh() / name)) for name in OF_BOKEH]
    own = "\n".join(_inline(ASSETS / name) for name in OF_PAGE)
    return (*found, Script("page.js", own))


@cache
def style() -> str:
    """The style sheet."""
    return (ASSETS / "report.css").read_text(encoding="utf-8")


def policy() -> str:
    """The content-security policy: these scripts alone, pictures in the page, nothing from elsewhere."""
    allowed = " ".join(script.digest for script in scripts())
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _bokeh() -> Path:
    spec = find_spec("bokeh")
    if spec is None or spec.origin is None:
        raise InputError("the report needs the package bokeh; expected it installed: pip install bokeh")
    folder = Path(spec.origin).parent / "server" / "static" / "js"
    if not all((folder / name).is_file() for name in OF_BOKEH):
        raise InputError(f"{folder} lacks {' or '.join(OF_BOKEH)}; expected those of the package bokeh")
    return folder


def _inline(path: Path) -> str:
    """A script that can stand in a page: no carriage return, which a parser would change, and no end of a script."""
    text = path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
