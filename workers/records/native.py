"""The C kernel, which converts records of common shapes natively.

It makes the same lines as the decoder and the encoder, and calls the encoder for what it does not have:
how a name is escaped, and the series of some tags. Without the kernel Tower does the same work more slowly.
"""

from datetime import UTC
from mmap import mmap

from workers import __version__
from workers.config.parsers import RESERVED
from workers.config.route import Route
from workers.errors import RecordError
from workers.records import escape, rename
from workers.records.encoder import Encoder
from workers.records.record_time import LATEST_NS
from workers.records.timestamps import SECOND
from workers.types import Origin, Partition

try:
    from workers import _kernel
except ImportError:  # Installed without a C compiler.
    _kernel = None  # type: ignore[assignment]

#: Whether the C extension is built.
BUILT = _kernel is not None

#: CPU time of a record of the lab that is converted in Python, in multiples of the kernel's.
COST_WITHOUT = 30

NOT_BUILT = (
    f"the C kernel is not built, so converting takes about {COST_WITHOUT} times the CPU. Install a C "
    "compiler and Python's headers, then install Tower again"
)

OUTDATED = (
    "the C kernel was built from another version of Tower, so it is not used. Run `make install`, or "
    "install the package again, and restart the pool"
)


#: Keys of a route that the kernel does not know.
_PYTHON_KEYS = (
    "array",
    "key_tag",
    "header_tags",
    "integer_fields",
    "boolean_fields",
    "text_fields",
    "drop",
    "keep",
)


class KernelUnavailableError(Exception):
    """The kernel cannot be used. The text says why, and what to do."""


class KernelNotApplicableError(KernelUnavailableError):
    """The route has keys that only Python applies."""


def build_kernel(route: Route, encoder: Encoder, mark: bytearray | mmap | None = None) -> "_kernel.Kernel":
    """Return a kernel that makes the lines `encoder` makes.

    Args:
        route: Format and limits.
        encoder: What it asks for names and series.
        mark: Gets the place of each record before it is converted (see `workers.records.crash_record`).

    Raises:
        KernelUnavailableError: The extension is not built, is of another version, or cannot convert by
            this route.
    """
    if not BUILT:
        raise KernelUnavailableError(NOT_BUILT)
    # After an update without a new build, the old kernel would crash the worker or make the lines of the
    # old version. Kernels before 0.2.0 have no version.
    if getattr(_kernel, "VERSION", "") != __version__:
        raise KernelUnavailableError(OUTDATED)
    if route.format == "text":
        raise KernelUnavailableError("TOWER_FORMAT is text, which the C kernel does not convert")
    if python_keys := [key for key in _PYTHON_KEYS if getattr(route, key)]:
        raise KernelNotApplicableError(f"{route.label} has {python_keys[0]}, which only Python applies")

    def name_of(name: str) -> bytes | None:
        try:
            return encoder.prefix(name).encode()
        except (RecordError, UnicodeEncodeError):
            return None

    def series_of(tags: tuple[str | None, ...]) -> bytes | None:
        try:
            return encoder.series_text(tags).encode()
        except (RecordError, UnicodeEncodeError):
            return None

    line_tags = _line_tags(route)
    try:
        return _kernel.Kernel(
            json=route.format in {"auto", "json"},
            msgpack=route.format in {"auto", "msgpack"},
            line=route.format in {"auto", "line"} and line_tags is not None and route.identity != "kafka",
            max_bytes=route.limits.max_record_bytes,
            max_fields=route.limits.max_fields,
            max_key=route.limits.max_key_bytes,
            max_tag=route.limits.max_tag_bytes,
            max_text=route.limits.max_text_bytes,
            window=route.time_window_s * SECOND or LATEST_NS,
            keep_own=route.identity == "record",
            keep_fine=route.identity != "kafka",
            read_texts=not route.time_format,
            read_local=route.time_zone is UTC,
            partition_type=Partition,
            origin_type=Origin,
            line_tags=line_tags or (),
            tag_count=len(encoder.tag_fields),
            fields=_fields(route, encoder),
            name_of=name_of,
            series_of=series_of,
            admit=encoder.cardinality.admit,
            mark=mark,
        )
    except TypeError:
        # In a checkout the sources can be newer than the built kernel, with the same version.
        raise KernelUnavailableError(OUTDATED) from None
    except ValueError as error:
        raise KernelUnavailableError(f"the C kernel cannot be used with these settings: {error}") from None


def _line_tags(route: Route) -> tuple[bytes, ...] | None:
    """Return the constant tags of line protocol by their names; None if the kernel cannot add them."""
    pairs = dict(route.line_tags).items()
    tags = sorted((escape.name(name).encode(), escape.tag(value).encode()) for name, value in pairs)
    names = [name for name, _ in tags]
    if any(b"\\" in name for name in names):
        return None
    return tuple(b",%b=%b" % tag for tag in tags)


def _fields(route: Route, encoder: Encoder) -> list[tuple[bytes, int, int, int, bytes]]:
    """Return the configured fields: name, kind, index of the tag, index of its group's first field, prefix.

    Raises:
        KernelUnavailableError: A name is too long, or there are too many.
    """
    # Later entries win: a time field is no tag then, and a tag no number.
    kinds = dict.fromkeys(route.number_fields, (_kernel.NUMBER, 0))
    kinds |= {name: (_kernel.TAG, encoder.tag_fields.index(name)) for name in encoder.tag_fields}
    kinds |= dict.fromkeys(route.time_fields, (_kernel.TIME, 0))
    # A field with a reserved name is stored under another one, which the record may have too.
    reserved = [(name, encoder.stored_name(name)) for name in sorted(RESERVED.union(dict(route.tags)))]
    new_names, groups = dict(route.rename), rename.groups([*route.rename, *reserved])
    names = list(dict.fromkeys([*kinds, *groups]))
    if len(names) > _kernel.KEPT_FIELDS:
        raise KernelUnavailableError(
            f"the settings name {len(names)} fields, more than the {_kernel.KEPT_FIELDS} that the C kernel "
            "has room for"
        )
    fields: list[tuple[bytes, int, int, int, bytes]] = []
    firsts: dict[int, int] = {}
    for name in names:
        # A renamed field has the kind of its new name. The kernel leaves a record with two fields of a
        # group to the encoder, which decides which of them takes the new name.
        new_name = new_names.get(name, name)
        sent = name.encode()
        if max(len(sent), len(new_name.encode())) > _kernel.FIELD_NAME_BYTES:
            raise KernelUnavailableError(
                f"the settings name a field of more than {_kernel.FIELD_NAME_BYTES} bytes "
                f"({name[:20]}...), which the C kernel does not convert"
            )
        try:
            prefix = encoder.prefix(new_name).encode()
        except RecordError as error:
            raise KernelUnavailableError(
                f"the settings name the field {new_name[:20]!r}, which no record can have: {error.detail}"
            ) from None
        kind, place = kinds.get(new_name, (_kernel.OTHER, 0))
        first = firsts.setdefault(groups[name], len(fields)) if name in groups else len(fields)
        fields.append((sent, kind, place, first, prefix))
    return fields
