"""The native path for the record shapes that are common, where the C extension is built.

It makes the same lines as the decoder and the encoder, and asks them for all it does not know: how a name
is escaped, which head belongs to some tags. Without it, Tower does the same work more slowly.
"""

from workers.config.settings import Settings
from workers.errors import RecordError
from workers.records.encoder import Encoder
from workers.records.rename import Rename
from workers.records.timestamps import SECOND
from workers.types import Partition

try:
    from workers._kernel import Kernel
except ImportError:  # Installed where no C compiler was.
    Kernel = None  # type: ignore[assignment,misc]

#: Whether the extension is there.
BUILT = Kernel is not None

#: Kinds of a field, as in workers/native/fields.h.
OTHER, NUMBER, TAG, TIME = 0, 1, 2, 3


def build_kernel(settings: Settings, encoder: Encoder) -> "Kernel | None":
    """A kernel that does what `encoder` does under `settings`, None where there can be none."""
    if not BUILT or settings.format == "text":
        return None

    def name_of(name: str) -> bytes | None:
        try:
            return encoder.name(name).encode()
        except (RecordError, UnicodeEncodeError):
            return None

    def series_of(tags: tuple[str | None, ...]) -> bytes | None:
        try:
            return encoder.series(tags).encode()
        except UnicodeEncodeError:
            return None

    # Later entries win: a field that tells the time is no tag then, and a tag no number.
    kinds = dict.fromkeys(settings.number_fields, (NUMBER, 0))
    kinds |= {name: (TAG, settings.tag_fields.index(name)) for name in settings.tag_fields}
    kinds |= dict.fromkeys(settings.time_fields, (TIME, 0))
    new_names, groups = dict(settings.rename), Rename(settings.rename).groups()
    fields: list[tuple[bytes, int, int, int, bytes]] = []
    firsts: dict[int, int] = {}
    for name in dict.fromkeys([*kinds, *groups]):
        # A renamed field is all that its new name says. The kernel leaves a record with two fields of a
        # group to the encoder, which decides what takes the new name.
        new_name = new_names.get(name, name)
        prefix = name_of(new_name)
        if prefix is None:
            return None
        kind, place = kinds.get(new_name, (OTHER, 0))
        first = firsts.setdefault(groups[name], len(fields)) if name in groups else len(fields)
        fields.append((name.encode(), kind, place, first, prefix))
    try:
        return Kernel(
            json=settings.format in {"auto", "json"},
            msgpack=settings.format in {"auto", "msgpack"},
            largest=settings.max_record_bytes,
            max_fields=settings.max_fields,
            max_tag=settings.max_tag_bytes,
            max_text=settings.max_text_bytes,
            window=settings.time_window_s * SECOND,
            partitions=settings.identity_partitions,
            partition_type=Partition,
            tag_count=len(settings.tag_fields),
            fields=fields,
            name_of=name_of,
            series_of=series_of,
        )
    except ValueError:
        # More names, or longer ones, than it has room for.
        return None
