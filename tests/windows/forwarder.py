"""A Windows DLL that holds nothing but references to functions of other DLLs.

Two that wheels ask for are in no package that can be fetched: ``python3.dll``, which leads
extensions of the stable ABI to the interpreter, and ``bcryptprimitives.dll``, which Wine 8
has not. On Windows they are such references too, so nothing of Windows is replaced by them.

The layout is that of Microsoft's "PE Format": headers, and one section with the export table.
A reference is an address inside of that table, of the text ``other-dll.function``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

__all__ = ["exports_of_library", "forwarder_dll"]

_SECTION: Final = 0x1000
_FILE: Final = 0x200
_BASE: Final = 0x1_8000_0000
_AMD64: Final = 0x8664
#: IMAGE_FILE_EXECUTABLE_IMAGE, LARGE_ADDRESS_AWARE, DLL. Not RELOCS_STRIPPED: without a table
#: of relocations it may be anywhere in memory, and there is nothing in it to relocate.
_CHARACTERISTICS: Final = 0x0002 | 0x0020 | 0x2000
#: IMAGE_SCN_CNT_INITIALIZED_DATA, MEM_READ
_SECTION_FLAGS: Final = 0x4000_0040
_EXPORT_DIRECTORY: Final = struct.Struct("<IIHHIIIIIII")
_ARCHIVE: Final = b"!<arch>\n"


def forwarder_dll(name: str, targets: Mapping[str, str]) -> bytes:
    """
    Return the DLL ``name`` whose export ``x`` is ``targets[x]``, as ``advapi32.SystemFunction036``.
    """
    section = _export_table(name.encode("ascii"), targets)
    size = _aligned(len(section), _SECTION)
    coff = struct.pack("<HHIIIHH", _AMD64, 1, 0, 0, 0, 0xF0, _CHARACTERISTICS)
    # Version 14 of a linker; Windows 6.0 and later, a DLL that asks for no screen.
    standard = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0, _aligned(len(section), _FILE), 0, 0, 0)
    place = struct.pack("<QII", _BASE, _SECTION, _FILE)
    versions = struct.pack("<HHHHHHI", 6, 0, 0, 0, 6, 0, 0)
    sizes = struct.pack("<IIIHH", _SECTION + size, _FILE, 0, 3, 0x0100)
    memory = struct.pack("<QQQQII", 0x10_0000, 0x1000, 0x10_0000, 0x1000, 0, 16)
    # Of the sixteen tables that there may be, the first is that of the exports.
    tables = struct.pack("<II", _SECTION, len(section)) + bytes(15 * 8)
    optional = standard + place + versions + sizes + memory + tables
    on_disk = _aligned(len(section), _FILE)
    header = struct.pack("<8sIIII", b".edata", len(section), _SECTION, on_disk, _FILE)
    header += struct.pack("<IIHHI", 0, 0, 0, 0, _SECTION_FLAGS)
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    head = dos + b"PE\0\0" + coff + optional + header
    return head.ljust(_FILE, b"\0") + section.ljust(_aligned(len(section), _FILE), b"\0")


def _export_table(name: bytes, targets: Mapping[str, str]) -> bytes:
    # The loader looks a name up by halving: the names have to be in the order of their bytes.
    names = sorted(one.encode("ascii") for one in targets)
    count = len(names)
    functions = _EXPORT_DIRECTORY.size
    pointers = functions + 4 * count
    ordinals = pointers + 4 * count
    texts = bytearray()
    start = _SECTION + ordinals + 2 * count

    def place(text: bytes) -> int:
        at = start + len(texts)
        texts.extend(text + b"\0")
        return at

    name_at = place(name)
    name_places = [place(one) for one in names]
    target_places = [place(targets[one.decode("ascii")].encode("ascii")) for one in names]
    tables = (_SECTION + functions, _SECTION + pointers, _SECTION + ordinals)
    directory = _EXPORT_DIRECTORY.pack(0, 0, 0, 0, name_at, 1, count, count, *tables)
    return (
        directory
        + struct.pack(f"<{count}I", *target_places)
        + struct.pack(f"<{count}I", *name_places)
        + struct.pack(f"<{count}H", *range(count))
        + bytes(texts)
    )


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to


def exports_of_library(library: bytes) -> list[str]:
    """
    Return what a DLL exports, out of its import library (``python3.lib``).

    The archive begins with a table of its symbols; each export is in it with ``__imp_``.

    Raises:
        ValueError: this is no import library.
    """
    head, name = library[: len(_ARCHIVE)], library[len(_ARCHIVE) :][:16]
    if head != _ARCHIVE or name.strip() != b"/":
        raise ValueError("not an import library")
    size = int(library[56:66])
    table = library[68 : 68 + size]
    (count,) = struct.unpack_from(">I", table)
    names = table[4 + 4 * count :].split(b"\0")[:count]
    return sorted(one[6:].decode("ascii") for one in names if one.startswith(b"__imp_"))
