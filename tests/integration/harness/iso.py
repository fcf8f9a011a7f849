"""Reads an ISO 9660 image without mounting it: its label and, by the Joliet tree, every file."""
import struct

SECTOR = 2048


def _volumes(data):
    for number in range(16, 64):
        volume = data[number * SECTOR:(number + 1) * SECTOR]
        if volume[1:6] != b"CD001" or volume[0] == 255:
            return
        yield volume


def label(path):
    data = open(path, "rb").read()
    return next(v for v in _volumes(data) if v[0] == 1)[40:72].decode("ascii").strip()


def files(path):
    """Path to content of every file."""
    data = open(path, "rb").read()
    joliet = next(v for v in _volumes(data) if v[0] == 2 and v[88:91] in (b"%/@", b"%/C", b"%/E"))
    found = {}

    def walk(record, prefix):
        extent, = struct.unpack_from("<I", record, 2)
        size, = struct.unpack_from("<I", record, 10)
        listing = data[extent * SECTOR:extent * SECTOR + size]
        at = 0
        while at < len(listing):
            length = listing[at]
            if length == 0:  # records do not cross sectors
                at = (at // SECTOR + 1) * SECTOR
                continue
            entry = listing[at:at + length]
            at += length
            raw_name = entry[33:33 + entry[32]]
            if raw_name in (b"\0", b"\1"):  # itself and its parent
                continue
            name = prefix + raw_name.decode("utf-16-be").split(";")[0]
            if entry[25] & 2:
                walk(entry, name + "/")
            else:
                begin, length_of_file = struct.unpack_from("<I", entry, 2)[0], struct.unpack_from("<I", entry, 10)[0]
                found[name] = data[begin * SECTOR:begin * SECTOR + length_of_file]

    walk(joliet[156:190], "")
    return found
