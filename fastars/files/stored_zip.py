"""Headers and directories of zip files with stored (uncompressed) members: written from their members, and compared when read."""

import struct
from typing import BinaryIO, NamedTuple

MAX_BYTES = 1 << 30  # of all members; far below the 4 GiB where zip needs its 64-bit form
MAX_MEMBERS = 256
MAX_NAME_BYTES = 104

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DATE = 1 << 5 | 1  # 1980-01-01, the zero of zip's calendar: equal content gives equal bytes


class Member(NamedTuple):
    """The values in which members of such a zip differ."""

    name: str
    crc: int
    size: int  # bytes


def local_header(member: Member) -> bytes:
    """Return the bytes before the content of a member."""
    name = member.name.encode("latin-1")
    return _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, _DATE, member.crc, member.size, member.size, len(name), 0) + name


def directory(members: list[Member]) -> bytes:
    """Return the end of a zip whose members follow each other without gaps: one entry per member, then the end record.

    Raises
    ------
    ValueError
        If the members together have more than `MAX_BYTES` bytes.
    """
    n_bytes = sum(member.size for member in members)
    if n_bytes > MAX_BYTES:
        raise ValueError(f"members of {n_bytes} bytes, more than the {MAX_BYTES} allowed")
    entries, offset = b"", 0
    mode = 0o100644 << 16  # when unzipped: a file that its owner may write and all may read
    for member in members:
        name = member.name.encode("latin-1")
        fixed = (b"PK\1\2", 3 << 8 | 20, 20, 0, 0, 0, _DATE, member.crc, member.size, member.size, len(name), 0, 0, 0, 0, mode)
        entries += _CENTRAL.pack(*fixed, offset) + name
        offset += _LOCAL.size + len(name) + member.size
    return entries + _END.pack(b"PK\5\6", 0, 0, len(members), len(members), len(entries), offset, 0)


def read_directory(file: BinaryIO, size: int, first: str) -> list[Member]:
    """Return the members of an open zip that has exactly these members and no other byte.

    Parameters
    ----------
    file : binary file
        The zip.
    size : int
        Its size in bytes.
    first : str
        The name that the first member must have.

    Raises
    ------
    ValueError
        If it is another kind of file, or damaged.
    """
    file.seek(max(0, size - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or not end.startswith(b"PK\5\6"):
        raise ValueError("no zip directory at its end: it was cut short, or it is no checkpoint")
    _, _, _, _, n_members, n_bytes, offset, _ = _END.unpack(end)
    if not 1 <= n_members <= MAX_MEMBERS:
        raise ValueError(f"{n_members} members; allowed are 1 to {MAX_MEMBERS}")
    if n_bytes > n_members * (_CENTRAL.size + MAX_NAME_BYTES) or offset + n_bytes + _END.size != size:
        raise ValueError("its zip directory is damaged")
    file.seek(offset)
    entries = file.read(n_bytes)
    members = _parse_entries(entries, n_members, first)
    if entries + end != directory(members):
        raise ValueError("its zip directory is damaged")
    return members


def _parse_entries(entries: bytes, n_members: int, first: str) -> list[Member]:
    members: list[Member] = []
    start = 0
    for _ in range(n_members):
        if start + _CENTRAL.size > len(entries):
            raise ValueError("its zip directory is damaged")
        _, _, _, _, method, _, _, crc, _, n_content, n_name, *_ = _CENTRAL.unpack_from(entries, start)
        start += _CENTRAL.size + n_name
        member = Member(entries[start - n_name : start].decode("latin-1"), crc, n_content)
        if not members and member.name != first:
            raise ValueError(f"its first member is {member.name!r}, not {first!r}: it is no checkpoint of fastars")
        if method != 0:
            raise ValueError(f"member {member.name!r} is compressed")
        members.append(member)
    return members
