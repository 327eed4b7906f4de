"""Files written whole or not at all: under a temporary name beside the old file, which they then replace."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; when the block is done, that file replaces `path` in one step.

    If the block raises (the disk is full, the run is interrupted) the old file stays as it was and the temporary one is
    removed. Of several processes that write one path at a time the last to finish leaves its file, whole. The new file has
    the permissions of the old one, and those of any new file where there is none.

    Parameters
    ----------
    path : path
        A file, there already or not, in a folder that exists. The temporary name ends in the same suffix, from which
        writers of pictures tell the format. A link is followed; what is no plain file (a terminal, a pipe) is written to
        directly.

    Yields
    ------
    Path

    Raises
    ------
    OSError
        As the system reports it, naming `path`, never the temporary name.

    Examples
    --------
    >>> with replacing("table.csv") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("t,x")
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if target.exists() and not target.is_file():
        yield target
        return
    temporary = target.with_name(f".{target.stem[:100]}-{secrets.token_hex(8)}.tmp{target.suffix}")
    try:
        yield temporary
        # Onto the disk before the name: after a power cut either the old file is there or the whole new one.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException as error:
        # A disk that fails the write may fail this too; the first failure is the one to tell.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in _names(temporary):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _names(temporary: Path) -> tuple[object, ...]:
    """Return how a failed write to the temporary file names it: not at all, as text, or as a path."""
    return None, str(temporary), temporary
