"""The record of what the runs of a run directory wrote there, and what may be removed or replaced because of it.

`written.jsonl` has a line for each thing, added before that appears under its name: the name relative to the run
directory, the kind, and the size and digest of what it will hold. Each line ends in a checksum of its own, so that one
that was cut off or altered counts for nothing. What is not in the record, or is not what the record says, is
somebody else's: it is neither removed nor replaced, and a run that would have to ends first and says so.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from rivergrad.errors import InputError
from rivergrad.io.atomic import keeper_of, kept_by, remove_leftovers
from rivergrad.io.digest import Digest, digest_of, prefix_digest, text_digest
from rivergrad.io.recorded import KEPT, RECORD, line_of, read_line
from rivergrad.rundir import contents
from rivergrad.rundir.contents import item_of

FORMAT, VERSION = "rivergrad run directory", 1
NOT_OURS = f"was not written by a run, as far as the record {RECORD} says"
_MOST = 1 << 22
"""Bytes of a record that is not yet written anew with what is there only."""


@dataclass(frozen=True)
class Entry:
    """What was written under a name. **Arguments**: `kind` (file, folder, grown, made, logs, run, link), `digests`.

    `grown` files begin as their digest says; `made` folders were made for what is in them; `logs` hold those of
    workers; `run` is a run directory with a record of its own.
    """

    kind: str
    digests: tuple[Digest, ...] = ()


class Written:
    """The record of a run directory; see `record_of`."""

    def __init__(self, folder: Path, entries: dict[str, Entry]) -> None:
        self.folder = folder
        self.entries = entries

    # what `atomic_path` tells

    def before(self, target: Path) -> None:
        """See `rivergrad.io.atomic.Keeper`."""
        self.allow(target)
        for above in reversed(target.parents):
            if self.folder in above.parents and not above.exists():
                self._note(self.name_of(above), "made")

    def making(self, target: Path, temporary: Path) -> None:
        """See `rivergrad.io.atomic.Keeper`."""
        self._note_digest(self.name_of(target), digest_of(temporary))

    def owns(self, path: Path) -> bool:
        """See `rivergrad.io.atomic.Keeper`."""
        return self.name_of(path) in self.entries and self._stranger(self.name_of(path)) is None

    # what is ours

    def name_of(self, path: Path) -> str:
        """The name of something in the run directory."""
        return Path(os.path.abspath(path)).relative_to(self.folder).as_posix()

    def allow(self, target: Path) -> None:
        """Refuse a target that is there and was not written by a run, or that lies behind a link.

        Raises:
            InputError: naming it.
        """
        name = self.name_of(target)
        for above in target.parents:
            if self.folder in above.parents and above.is_symlink():
                raise InputError(f"{above}: is a link; expected a folder of the run's own there, or nothing")
        if not os.path.lexists(target):
            return
        if name not in self.entries:
            self._read_again()
        why = self._stranger(name) if name in self.entries else NOT_OURS
        if why is not None:
            raise InputError(f"{target}: {why}; expected it moved away (nothing was removed or overwritten)")

    def _read_again(self) -> None:
        """Learn what another process has entered meanwhile: `submit`, or another fold."""
        found = read_record(self.folder)
        if found is not None:
            self.entries = found.entries | self.entries

    def _stranger(self, name: str) -> str | None:
        """Why what is under a recorded name is not what a run wrote; None where it is, or nothing is there."""
        path, entry = self.folder / name, self.entries[name]
        if not os.path.lexists(path) or self._behind_link(name):
            return None
        is_folder = entry.kind in ("folder", "made", "logs", "run")
        if path.is_symlink() != (entry.kind == "link") or (
            entry.kind != "link" and (not path.is_dir() if is_folder else not path.is_file())
        ):
            return "is of another kind than what the run wrote"
        if not entry.digests or (not is_folder and entry.kind != "link" and path.stat().st_size == 0):
            return None  # nothing is lost with an empty file
        item = item_of(name)
        if item is not None and item.state and (item.looks is None or item.looks(path)):
            return None  # what it says is judged where it is read
        return None if _as_recorded(path, entry) else "is not as the run wrote it"

    def _behind_link(self, name: str) -> bool:
        return any((self.folder / above).is_symlink() for above in list(PurePosixPath(name).parents)[:-1])

    def require_ours(self) -> None:
        """Make sure, before anything is touched, that nothing of somebody else's is under a name that runs write.

        Raises:
            InputError: naming the first.
        """
        for name in contents.ITEMS:
            path = self.folder / name
            if name != RECORD and name not in self.entries and os.path.lexists(path):
                raise InputError(f"{path}: {NOT_OURS}; expected it moved away (nothing was changed)")
        for name in self.entries:
            why = self._stranger(name)
            if why is not None:
                raise InputError(f"{self.folder / name}: {why}; expected it unchanged, or moved away")

    # what is written otherwise than by `atomic_path`

    def note_link(self, path: Path, target: Path) -> None:
        """Hear of a link that is made in a moment."""
        self.allow(path)
        self._note_digest(self.name_of(path), Digest("link", 0, text_digest(str(target))))

    def note_folder(self, path: Path, kind: str = "made") -> None:
        """Hear of a folder that is made in a moment: of logs of workers (`logs`), a run (`run`), or any (`made`)."""
        name = self.name_of(path)
        if name not in self.entries:
            if kind != "run":
                self.allow(path)
            self._note(name, kind)

    def note_lock(self, path: Path) -> None:
        """Hear of an empty file that is made in a moment, or was just now."""
        if self.name_of(path) not in self.entries:
            if path.is_symlink() or not path.is_file() or path.stat().st_size:
                self.allow(path)
            self._note(self.name_of(path), "grown")

    def _note_digest(self, name: str, found: Digest) -> None:
        item = item_of(name)
        grows = item is not None and item.grows and found.kind == "file"
        self._note(name, "grown" if grows else found.kind, found)

    def _note(self, name: str, kind: str, digest: Digest | None = None) -> None:
        line: dict[str, Any] = {"name": name, "kind": kind}
        if digest is not None:
            line |= {"size": digest.size, "digest": digest.value}
        if os.path.lexists(self.folder / RECORD) and (self.folder / RECORD).stat().st_nlink > 1:
            self.rewrite()  # another name of the file may be the user's
        with _named(self.folder / RECORD), (self.folder / RECORD).open("ab") as file:
            file.write(line_of(line))
            file.flush()
            os.fsync(file.fileno())
        _enter(self.entries, line)

    # what is removed

    def remove(self, name: str) -> None:
        """Remove something that was written under a name, if it is as the record says."""
        inside = [one for one in self.entries if one == name or one.startswith(f"{name}/")]
        for one in sorted(inside, key=len, reverse=True):  # a folder goes once it is empty
            if self._stranger(one) is None and not self._behind_link(one):
                _remove(self.folder / one, self.entries[one])

    def clear(self, keep: tuple[str, ...] = ()) -> None:
        """Remove what the record names, and nothing else; the record too, unless something but a lock is kept."""
        order = {name: rank for rank, name in enumerate(contents.ITEMS)}
        names = sorted(self.entries, key=lambda name: order.get(name.partition("/")[0], len(order)))
        kept = {name for name in names if name.partition("/")[0] in keep and (self.folder / name).exists()}
        for name in names:
            if name not in kept and self.entries[name].kind != "made":
                self.remove(name)
        made = [name for name in names if self.entries[name].kind == "made" and name not in kept]
        for name in sorted(made, key=len, reverse=True):
            if not self._behind_link(name) and not (self.folder / name).is_symlink():
                with suppress(OSError):  # of what is not ours in it
                    (self.folder / name).rmdir()
        # a folder of ours that holds something of somebody else's is still ours
        kept |= {
            name
            for name, entry in self.entries.items()
            if entry.kind in ("logs", "made")
            and (self.folder / name).is_dir()
            and not self._behind_link(name)
        }
        self.entries = {name: entry for name, entry in self.entries.items() if name in kept}
        if kept - {contents.FOLDS_LOCK}:
            self.rewrite()
        else:
            (self.folder / RECORD).unlink(missing_ok=True)

    def rewrite(self) -> None:
        """Write the record anew, with what is there only."""
        there = {name: one for name, one in self.entries.items() if os.path.lexists(self.folder / name)}
        lines = [line_of({"format": FORMAT, "version": VERSION, "rivergrad": version("rivergrad")})]
        for name, entry in there.items():
            for digest in entry.digests or (None,):
                line: dict[str, Any] = {"name": name, "kind": entry.kind}
                if digest is not None:
                    line |= {"size": digest.size, "digest": digest.value}
                lines.append(line_of(line))
        temporary = self.folder / f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{RECORD}"
        try:
            with _named(self.folder / RECORD), temporary.open("xb") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / RECORD)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self.entries = there


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of writing, such as a full disk, name the file: Python's own do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _as_recorded(path: Path, entry: Entry) -> bool:
    if entry.kind == "grown":
        size = path.stat().st_size
        return any(one.size <= size and prefix_digest(path, one.size) == one.value for one in entry.digests)
    found = digest_of(path)
    return any((one.size, one.value) == (found.size, found.value) for one in entry.digests)


def _remove(path: Path, entry: Entry) -> None:
    """Remove something that is known to be ours; links go, never what they lead to."""
    remove_leftovers(path)
    if not os.path.lexists(path):
        return
    if entry.kind == "run":
        if (found := read_record(path)) is not None:
            found.clear()
        with suppress(OSError):
            path.rmdir()
    elif entry.kind == "logs":
        _remove_logs(path)
    elif entry.kind == "folder":
        shutil.rmtree(path)
    elif entry.kind != "made":
        path.unlink()


def _remove_logs(folder: Path) -> None:
    for path in folder.iterdir():
        name = f"{contents.WORKERS}/{path.name}"
        item = item_of(name)
        if item is None or item.looks is None or path.is_symlink() or not path.is_file():
            continue
        if item.looks(path) or path.name.startswith("rivergrad-worker"):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _is_safe(name: Any) -> bool:
    """Whether a name stays in the run directory."""
    if not isinstance(name, str) or not name or "\0" in name or name.startswith("/"):
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def _enter(entries: dict[str, Entry], line: dict[str, Any]) -> None:
    name, kind = line["name"], line["kind"]
    before = entries.get(name)
    digests = before.digests if before is not None and before.kind == kind else ()
    if "digest" in line:
        new = Digest(kind, int(line["size"]), str(line["digest"]))
        digests = (*[one for one in digests if one != new], new)[-KEPT:]
    entries[name] = Entry(kind, digests)


def read_record(folder: Path) -> Written | None:
    """The record of a run directory; None where there is none.

    Raises:
        InputError: it is damaged from its first line on.
    """
    folder = Path(os.path.abspath(folder))
    path = folder / RECORD
    if not path.is_file() or path.is_symlink():
        if os.path.lexists(path):
            raise InputError(f"{path}: is no file; expected the record of a run directory")
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    first = read_line(lines[0]) if lines else None
    if first is None or first.get("format") != FORMAT:
        raise InputError(
            f"{path}: is damaged, so that nobody knows what in this folder a run wrote; expected it as it was, or "
            "another output"
        )
    if first.get("version") != VERSION:
        raise InputError(f"{path}: has version {first.get('version')}; expected {VERSION}, of this rivergrad")
    entries: dict[str, Entry] = {}
    for line in lines[1:]:
        found = read_line(line)
        if found is not None and _is_safe(found.get("name")):
            _enter(entries, found)
    return Written(folder, entries)


def require_run_directory(folder: Path) -> None:
    """Make sure that a folder is the directory of a run, or empty, or not there; nothing is touched.

    Raises:
        InputError: it holds something else, or is no folder.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; expected a run directory, or nothing there yet")
    _require_lock_is_ours(folder / contents.LOCK)
    if read_record(folder) is not None:
        return
    others = contents.strangers(folder)
    if not others or contents.from_before(folder):
        return
    if contents.kept_a_record(folder):
        raise InputError(
            f"{folder}: its record {RECORD} is gone, so that nobody knows what in it a run wrote; expected it as it "
            "was, or another output"
        )
    raise InputError(
        f"{folder}: holds {others[0]}{f' and {len(others) - 1} more' if len(others) > 1 else ''} and is no run "
        "directory; expected an empty folder, or one that is not there yet, as output"
    )


def _require_lock_is_ours(path: Path) -> None:
    if not os.path.lexists(path):
        return
    try:
        text = "" if path.is_symlink() or not path.is_file() else path.read_text(encoding="utf-8")
        ours = not path.is_symlink() and path.is_file() and (not text or "process" in json.loads(text))
    except (ValueError, TypeError):
        ours = False
    if not ours:
        raise InputError(f"{path}: was not written by a run; expected another output")


@contextmanager
def record_of(folder: Path, *, make: bool = True) -> Iterator[Written | None]:
    """Keep the record of a run directory meanwhile; what is kept already goes on.

    Of a directory without one, whatever earlier versions wrote there (by name, and as it looks) begins the record.

    Args:
        folder: the run directory, which is there.
        make: begin a record where there is none; else such a folder is left without (and None is given).

    Raises:
        InputError: the folder is not a run directory.
    """
    folder = Path(os.path.abspath(folder))
    known = keeper_of(folder / RECORD)
    if isinstance(known, Written) and known.folder == folder:
        yield known
        return
    found = read_record(folder)
    if found is None:
        if not make:
            yield None
            return
        found = _begun(folder)
    elif (folder / RECORD).stat().st_size > _MOST:
        found.rewrite()
    with kept_by(found):
        yield found


def _begun(folder: Path) -> Written:
    require_run_directory(folder)
    entries: dict[str, Entry] = {}
    before = contents.from_before(folder)
    names = [*(contents.known_in(folder) if before else ())]
    names += [name for name in contents.SUBMITTED if (folder / name).is_file()]
    for name in names:
        for above in list(PurePosixPath(name).parents)[:-1]:
            kind = "logs" if str(above) == contents.WORKERS else "made"
            entries.setdefault(str(above), Entry(kind))
        found = digest_of(folder / name)
        item = item_of(name)
        kind = "grown" if item is not None and item.grows and found.kind == "file" else found.kind
        entries[name] = Entry(kind, (found,))
    lock = folder / contents.FOLDS_LOCK
    if lock.is_file() and not lock.is_symlink() and lock.stat().st_size == 0:
        entries[contents.FOLDS_LOCK] = Entry("grown")
    if before:
        for fold in sorted((folder / contents.FOLDS).glob("[0-9]*")):
            _adopt_fold(folder, fold, entries)
    record = Written(folder, entries)
    record.rewrite()
    return record


def _adopt_fold(folder: Path, fold: Path, entries: dict[str, Entry]) -> None:
    """Enter a fold of an earlier version, and the links to the input of the whole run in it."""
    if fold.is_symlink() or not contents.from_before(fold):
        return
    entries.setdefault(contents.FOLDS, Entry("made"))
    entries[f"{contents.FOLDS}/{fold.name}"] = Entry("run")
    if read_record(fold) is not None:
        return
    record = _begun(fold)
    for name in (contents.WORLD, contents.TWIN):
        if (fold / name).is_symlink() and os.readlink(fold / name) == str(Path("..", "..", name)):
            record.entries[name] = Entry("link", (digest_of(fold / name),))
    record.rewrite()
