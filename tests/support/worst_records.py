"""The worst records: of any size, each of a shape that costs a decoder or the encoder as much as it can."""

import json
import struct
from collections.abc import Callable
from itertools import count

from workers.types import MAX_RECORDS

#: Makes a record of at most so many bytes.
Shape = Callable[[int], bytes]


def repeated(unit: bytes | str, head: bytes = b"", tail: bytes = b"") -> Shape:
    """A head, a unit as often as there is room for it, and a tail."""
    unit = unit.encode() if isinstance(unit, str) else unit
    return lambda size: head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def counted(unit: Callable[[int], bytes], head: bytes = b"", tail: bytes = b"") -> Shape:
    """The same with a unit that differs each time: it is given its place."""

    def make(size: int) -> bytes:
        units, room = [], size - len(head) - len(tail)
        for place in count():
            units.append(unit(place))
            room -= len(units[-1])
            if room < 0:
                return head + b"".join(units[:-1]) + tail
        raise AssertionError

    return make


def packed(unit: bytes | Callable[[int], bytes], *, is_map: bool = False, head: bytes = b"") -> Shape:
    """A msgpack array or map of as many units as there is room for; a map's unit is a key and a value."""
    header = struct.Struct(">BI")

    def make(size: int) -> bytes:
        room = size - len(head) - header.size
        body = (repeated(unit) if isinstance(unit, bytes) else counted(unit))(room)
        units = len(body) // len(unit if isinstance(unit, bytes) else unit(0))
        return head + header.pack(0xDF if is_map else 0xDD, units) + body

    return make


def sized(first: int, head: bytes, tail: bytes = b"", filler: bytes = b"9") -> Shape:
    """One msgpack value whose size is told in 32 bits: a text, bytes or an extension."""

    def make(size: int) -> bytes:
        length = size - len(head) - len(tail) - 5
        return head + struct.pack(">BI", first, length) + filler * length + tail

    return make


def records(make_one: Shape, size: int) -> bytes:
    """A JSON array of as many records as one message may hold, each of the same size."""
    one = make_one(size // MAX_RECORDS - 1)
    return b"[" + b",".join([one] * MAX_RECORDS) + b"]"


def fresh_names(size: int) -> bytes:
    """A JSON array of as many records as fit in, no two of which have a name in common."""
    names = count()
    one = counted(lambda _: b'"%06x":1,' % next(names), b"{", b'"a":1}')
    return b"[" + b",".join(one(size // MAX_RECORDS - 1) for _ in range(MAX_RECORDS)) + b"]"


def value_list(long: str) -> Shape:
    """A value list of collectd with 1,000 values, each of which is a record that repeats one long text."""
    names = b",".join(b'"%x"' % place for place in range(1_000))
    values = {"values": b"1," * 999 + b"1", "dstypes": b"", "dsnames": names}
    texts = dict.fromkeys({"host", "plugin", "type"} - {long}, "x")
    head = b"".join(b'"%s":[%s],' % (name.encode(), array) for name, array in values.items())
    head += json.dumps({"time": 1_700_000_000, "interval": 10, **texts})[1:-1].encode()
    return repeated("k", b'[{%s,"%s":"' % (head, long.encode()), b'"}]')


def equal_hashes() -> Callable[[int], bytes]:
    """Pairs of numbers that all have one hash in Python: of each, the second is computed from the first.

    Python hashes a tuple with xxHash's rounds (CPython's tupleobject.c), each of which can be undone, and a
    number with itself.
    """
    most, prime_1, prime_2, prime_5 = 2**64, 11400714785074694791, 14029467366897019727, 2870177450012600261
    undo_1, undo_2 = pow(prime_1, -1, most), pow(prime_2, -1, most)
    wanted = (hash((1, 2)) - (2 ^ prime_5 ^ 3527539)) % most * undo_1 % most
    wanted = (wanted >> 31 | wanted << 33) % most
    names: list[bytes] = []
    firsts = count(1)

    def unit(place: int) -> bytes:
        while len(names) <= place:
            first = next(firsts)
            lane = (prime_5 + first * prime_2) % most
            lane = (lane << 31 | lane >> 33) % most * prime_1 % most
            second = (wanted - lane) * undo_2 % most
            if second < 2**61 - 1:  # larger ones are no hash of their own
                names.append(struct.pack(">BBQBQB", 0x92, 0xCF, first, 0xCF, second, 1))
        return names[place]

    return unit


TEXT: dict[str, Shape] = {
    "commas in a number": repeated(",", b"memory:1"),
    "commas in a text": repeated(",", b"note:1"),
    "commas and spaces": repeated(", ", b"memory:1"),
    "commas and colons": repeated(",:", b"a:1"),
    "commas, spaces and colons": repeated(", :", b"a:1"),
    "commas alone": repeated(","),
    "commas and names": repeated(",a", b"a:1"),
    "tabs": repeated("\t", b"a:1", b"x"),
    "tabs and names": repeated("\ta", b"a:1"),
    "tabs and spaces": repeated("\t ", b"a:1", b"x"),
    "a name without end": repeated("a"),
    "colons": repeated(":", b"memory:1"),
    "spaces": repeated(" ", b"memory:1"),
    "spaces before a colon": repeated(" ", b"a:1,", b":"),
    "spaces of three bytes": repeated("\u3000", b"memory:1,"),
    "long parts without a colon": repeated(b"k" * 1000 + b",", b"a:1,"),
    "one name, again and again": repeated("a:,"),
    "many names": counted(lambda place: b"%x:," % place),
    "one name": repeated("k", tail=b":1"),
    "no colon": repeated("k"),
    "digits": repeated("9", b"memory:"),
    "digits and a letter": repeated("9", b"memory:", b"x"),
    "digits of two bytes": repeated("\u0665", b"memory:"),
    "an exponent of digits": repeated("9", b"memory:1e"),
    "zeros behind the point": repeated("0", b"disk:0.", b"1"),
    "a time of digits": repeated("1", b"a:1,time:"),
    "a time of underscores": repeated("1_", b"a:1,time:", b"1"),
    "a time with a long fraction": repeated("1", b"a:1,time:2024-01-01T00:00:00."),
    "no UTF-8 at the end": repeated("a", tail=b"\xff"),
    "many names and a number": counted(lambda place: b"a%x:," % place, b"memory:1,"),
    "one name twice": repeated("tx:1,", b"memory:1,"),
    "nearly syslog": repeated("<1"),
    "nearly StatsD": repeated(":1", b"a"),
    "nearly Graphite": repeated("a."),
    "nearly logfmt": repeated("a=1 "),
    "nearly Prometheus": repeated("a{", b"a{"),
    "nearly UTF-16": repeated(b"\0a"),
    "a header without JSON": repeated(b"a", b"\0\0\0\0\x07"),
}

JSON: dict[str, Shape] = {
    "spaces before it": repeated(" ", tail=b'{"memory":1}'),
    "spaces inside": repeated(" ", b'{"memory":', b"1}"),
    "spaces behind it": repeated("\n", b'{"memory":1}'),
    "many names": counted(lambda place: b'"%x":0,' % place, b"{", b'"a":0}'),
    "one name, again and again": repeated('"a":0,', b"{", b'"a":0}'),
    "one name": repeated("k", b'{"', b'":1}'),
    "escapes in a name": repeated("\\n", b'{"', b'":1}'),
    "one text": repeated("k", b'{"k":"', b'"}'),
    "escapes": repeated("\\n", b'{"a":"', b'"}'),
    "escapes of plain letters": repeated("\\u0041", b'{"a":"', b'"}'),
    "surrogate pairs": repeated("\\ud83d\\ude00", b'{"a":"', b'"}'),
    "halves of surrogate pairs": repeated("\\ud800", b'{"a":"', b'"}'),
    "halves of surrogate pairs, and NaN": repeated("\\ud800", b'{"b":NaN,"a":"', b'"}'),
    "texts that all have to be escaped": counted(
        lambda place: b'"%x":"%s",' % (place, b'\\"' * 16_000), b"{", b'"a":1}'
    ),
    "backslashes in a tag": repeated("\\\\", b'{"ip":"', b'","a":1}'),
    "a long tag": repeated("\u00e9", b'{"ip":"', b'","a":1}'),
    "digits": repeated("9", b'{"memory":', b"}"),
    "digits as text": repeated("9", b'{"memory":"', b'"}'),
    "digits as text, and a letter": repeated("9", b'{"memory":"', b'x"}'),
    "digits as text, and spaces": repeated(" ", b'{"memory":"1', b'"}'),
    "digits in a tag": repeated("9", b'{"a":1,"ip":', b"}"),
    "numbers of 4,000 digits": repeated(b"9" * 4_000 + b",", b'{"a":[', b"9]}"),
    "fields of 4,000 digits": counted(lambda place: b'"%x":%s,' % (place, b"9" * 4_000), b"{", b'"a":1}'),
    "digits behind the point": repeated("9", b'{"memory":0.', b"}"),
    "an exponent of digits": repeated("9", b'{"memory":1e', b"}"),
    "numbers beyond 64 bits": repeated("12345678901234567890123,", b'{"a":[', b"1]}"),
    "small floats": repeated("1.2345678901234567e-300,", b'{"a":[', b"1]}"),
    "smallest floats": repeated("2.2250738585072011e-308,", b'{"a":[', b"1]}"),
    "numbers": repeated("1,", b'{"a":[', b"1]}"),
    "NaN": repeated("NaN,", b'{"a":[', b"1]}"),
    "fields of NaN": counted(lambda place: b'"%x":NaN,' % place, b"{", b'"a":1}'),
    "NaN, and no end": repeated("1,", b'{"a":[NaN,', b"x]}"),
    "Infinity, and no end": repeated("Infinity", b'{"a":"', b'"'),
    "empty arrays": repeated("[],", b'{"a":[', b"[]]}"),
    "empty objects": repeated("{},", b'{"a":[', b"{}]}"),
    "names of empty objects": counted(lambda place: b'"%x":{},' % place, b'{"a":{', b'"a":1}}'),
    "nested arrays": repeated("[[[[[[]]]]]],", b'{"a":[', b"1]}"),
    "deep arrays": repeated(b"[" * 90 + b"]" * 90 + b",", b'{"a":[', b"1]}"),
    "no end of arrays": repeated("["),
    "no end of objects": repeated('{"":'),
    "more records than are taken": repeated('{"a":1},', b"[", b'{"a":1}]'),
    "more lines than are taken": repeated('{"a":1}\n'),
    "blank lines": repeated("\n", b'{"a":1}\n', b"x"),
    "lines that begin": repeated("{\n"),
    "a text that could go on": repeated("1,", b'{"a":[', b"\n{"),
    "more separators than are taken": repeated(b"\x1e{}"),
    "separators": repeated(b"\x1e"),
    "escapes, encoded twice": repeated("\\\\n", b'"{\\"a\\":\\"', b'\\"}"'),
    "no end of arrays, encoded twice": repeated("[", b'"', b'"'),
    "spaces before what is encoded twice": repeated(" ", b'"', b'{}"'),
    "a hash of Ruby": repeated('"a"=>', b"{"),
}

#: Of many records in one message, each of which may cost what it may cost alone.
ARRAYS: dict[str, Shape] = {
    "records of one name": lambda size: records(repeated('"aa":1,', b"{", b'"a":1}'), size),
    "records of many names": lambda size: records(
        counted(lambda place: b'"%x":1,' % place, b"{", b'"a":1}'), size
    ),
    "records of new names": fresh_names,
    "records of numbers as text": lambda size: records(
        counted(lambda place: b'"%x":"1",' % place, b"{", b'"a":1}'), size
    ),
    "lines of many names": lambda size: b"\n".join(
        [counted(lambda place: b'"%x":1,' % place, b"{", b'"a":1}')(size // MAX_RECORDS - 1)] * MAX_RECORDS
    ),
    "broken lines": lambda size: (
        b'{"a":1}\n'
        + b"\n".join([repeated('"a",', b'{"a":[')(size // MAX_RECORDS - 10)] * (MAX_RECORDS - 1))
    ),
    "records of NaN": lambda size: records(
        counted(lambda place: b'"%x":NaN,' % place, b"{", b'"a":1}'), size
    ),
    "a value list of collectd with a long meta": value_list("meta"),
    "a value list of collectd with a long host": value_list("host"),
    "nested records": lambda size: records(repeated("[1,[1,[1,[1,[1,[1]]]]]],", b'{"a":[', b"1]}"), size),
}

MSGPACK: dict[str, Shape] = {
    "nil": packed(b"\xc0", head=b"\x81\xa1a"),
    "empty maps": packed(b"\x80", head=b"\x81\xa1a"),
    "empty arrays": packed(b"\x90", head=b"\x81\xa1a"),
    "more records than are taken": packed(b"\x80"),
    "many names": packed(lambda place: b"\xa5%05x\x01" % place, is_map=True),
    "one name, again and again": packed(b"\xa1a\x01", is_map=True),
    "maps of numbers": packed(b"\x81\x00\x00", head=b"\x81\xa1a"),
    "numbers as names": packed(
        lambda place: struct.pack(">BQB", 0xCF, place << 40, 1), is_map=True, head=b"\x81\xa1a"
    ),
    "arrays of one hash as names": packed(equal_hashes(), is_map=True, head=b"\x81\xa1a"),
    "one name": sized(0xDB, b"\x81", b"\x01", b"k"),
    "one text": sized(0xDB, b"\x81\xa1a", filler=b"k"),
    "bytes as a name": sized(0xC6, b"\x81", b"\x01"),
    "bytes as a number": sized(0xC6, b"\x81\xa6memory"),
    "one extension": sized(0xC9, b"\x81\xa1a", filler=b"\x00"),
    "extensions": packed(b"\xd4\x05\x00", head=b"\x81\xa1a"),
    "EventTimes": packed(b"\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x05", head=b"\x81\xa1a"),
    "fields of EventTimes": packed(
        lambda place: b"\xa5%05x\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x05" % place, is_map=True
    ),
    "timestamps": packed(b"\xd6\xff\x65\x53\xf1\x00", head=b"\x81\xa1a"),
    "bytes as names": packed(lambda place: b"\xc4\x05%05x\x01" % place, is_map=True),
    "bytes": packed(b"\xc4\x01k", head=b"\x81\xa1a"),
    "fields of timestamps": packed(lambda place: b"\xa5%05x\xd6\xff\x65\x53\xf1\x00" % place, is_map=True),
    "no end of arrays": repeated(b"\x91"),
    "no end of maps": repeated(b"\x81\xa0"),
    "no end of large arrays": repeated(b"\xdd\x00\x00\x27\x10"),
    "no end of larger arrays": repeated(b"\xdc\xff\xff"),
    "no end of large maps": repeated(b"\xdf\x00\x00\x27\x10\xa1a"),
    "four billion elements claimed": repeated(b"\x01", b"\xdd\xff\xff\xff\xff"),
    "four billion pairs claimed": repeated(b"\xa1a\x01", b"\xdf\xff\xff\xff\xff"),
}
