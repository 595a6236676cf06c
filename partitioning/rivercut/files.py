"""Files opened for reading without waiting: a pipe under the name of a file would block for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, if it is one.

    Raises:
        OSError: it is not there, may not be read, or is no file.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode):
        return file
    file.close()
    raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, "is no file", str(path))
