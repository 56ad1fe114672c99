"""Members of a .tar.gz, or of what it unzips to, read straight from it: nothing is written to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar, cast

from .compressed import BoundedReader, open_plain_or_gzip
from .faults import damaged, reading

Content = TypeVar("Content")


def read_archive(
    path: Path,
    names: tuple[str, ...],
    decode: Callable[[bytes, Path], Content],
    *,
    max_member: int = 40 << 20,
    max_content: int = 256 << 20,
    to_end: bool = True,
) -> list[Content]:
    """Read the members called `names`, in that order, from a .tar.gz.

    Without `to_end` what follows the last of them is not read, and no second member of a name is seen there. A member
    read may have `max_member` bytes, and all that the archive holds `max_content`. Only the last part of a member's
    name counts, so a member cannot point anywhere. Raises DataError for a member that is missing, double, not a regular
    file, or too large.
    """
    with reading(path, "a .tar.gz archive"):
        try:
            members = _decode_members(path, names, decode, max_member, max_content, to_end)
        except tarfile.TarError as error:
            raise damaged(path, "a .tar.gz archive", f"one that does not unpack ({error})") from error
    missing = [name for name in names if name not in members]
    if missing:
        raise damaged(path, f"the members {', '.join(names)}", f"no {', '.join(missing)}", "fetch it again")
    return [members[name] for name in names]


def _decode_members(
    path: Path,
    names: tuple[str, ...],
    decode: Callable[[bytes, Path], Content],
    max_member: int,
    max_content: int,
    to_end: bool,
) -> dict[str, Content]:
    members: dict[str, Content] = {}
    # tarfile takes sizes from the archive on trust: the bound stops a bomb.
    with open_plain_or_gzip(path) as unzipped:
        bounded = cast(IO[bytes], BoundedReader(cast(IO[bytes], unzipped), max_content, path))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                limit = max_member if name in names else max_content
                if not 0 <= member.size <= limit:
                    raise damaged(path, f"members of at most {limit} bytes", f"{name!r} of {member.size}")
                if name not in names:
                    continue
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or name in members:
                    raise damaged(path, f"one regular file {name}", "a link or a second one of that name")
                members[name] = decode(stream.read(), path / name)
                if not to_end and len(members) == len(names):
                    break
    return members
