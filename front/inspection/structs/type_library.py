"""All types that are known, by name: those defined by hand, those of the image's debugging information, C's own.

>>> structs = Structs()
>>> structs.define("struct point { short x, y; };  typedef struct point *point_p;")
['struct point', 'point_p']
>>> structs["struct point"].size_bytes, str(structs["point_p"].bare)
(4, 'struct point *')
>>> print(structs.describe("struct point"))
struct point {
    short x;                                /*     0     2 */
    short y;                                /*     2     2 */
};  /* 4 bytes */
>>> structs["struct pint"]
Traceback (most recent call last):
...
hillemu.inspection.structs.type_library.UnknownType: no type 'struct pint'; did you mean 'struct point'?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hillemu.emu.errors import UserMistake
from hillemu.inspection.structs.c_reader import CReader
from hillemu.inspection.structs.c_scope import Scope
from hillemu.inspection.structs.c_tokens import WrongC
from hillemu.inspection.structs.dwarf import BadDwarf, DwarfTypes
from hillemu.inspection.structs.types import BASE_TYPES, USUAL_TYPEDEFS, CType, Record
from hillemu.similar_names import alike_or_nearest, did_you_mean

_TAGS = ("struct", "union", "enum")


class UnknownType(UserMistake, KeyError):
    """Nobody has told of a type of that name; the message proposes similar ones."""

    __str__ = Exception.__str__  # KeyError would put the message into quotes


class Structs(Mapping[str, CType]):
    """Types by name.  Names are as in C: ``task_t``, ``struct task``, also ``struct task *`` and ``char[16]``.

    A bare tag (``task``) is found if no typedef has that name.  What was defined last wins, then ELF files loaded by
    hand, the latest first, then the image.
    """

    HAS_STATE = False
    """For snapshots: what is known of a guest is not the guest's."""

    def __init__(self, image: Callable[[], tuple[bytes, str]] = lambda: (b"", "")) -> None:
        """`image` gives the bytes and the path of the ELF file that the machine runs."""
        self._image = image
        self._image_types: DwarfTypes | None = None
        self._files: list[DwarfTypes] = []
        self._scope = Scope(self._elsewhere)

    def define(self, text: str) -> list[str]:
        """Learn the types in C text; return their names, in order.

        Raises `WrongC`, with the line and what is wrong there; nothing of the text is learnt then.
        """
        scope = self._scope.copy()
        reader: CReader | None = None
        try:
            reader = CReader(text, scope)
            names = reader.read_all()
        except (UserMistake, RecursionError) as error:
            for record in reader.completed if reader is not None else ():
                record.is_complete = False
            if isinstance(error, RecursionError):
                raise WrongC("the text is nested too deeply") from None
            raise
        self._scope = scope
        return list(dict.fromkeys(names))

    def load_dwarf(self, path: str) -> None:
        """Take types from the debugging information of the ELF file at `path`: a disk's kernel, a module.

        Raises `ImageError` for a file that cannot be read, `BadDwarf` for one without debugging information.
        """
        from hillemu.boot.image import read_file

        types = DwarfTypes(bytes(read_file(path)), path)
        if not types.has_types:
            raise BadDwarf(f"{path}: has no debugging information; compile it with -g")
        self._files.insert(0, types)

    def __getitem__(self, name: str) -> CType:
        found = self._find(name.strip())
        if found is None:
            raise UnknownType(self._no_such(name.strip()))
        return found

    def variable(self, name: str) -> CType:
        """The type of the guest's variable `name`, from its debugging information or a declaration; `UnknownType`."""
        found = self._scope.variables.get(name)
        for types in self._sources:
            found = found or types.variable(name)
        if found is None:
            raise UnknownType(f"the type of variable {name!r} is not known: declare it, as in 'extern int {name};'")
        return found

    def completed(self, kind: CType) -> CType:
        """`kind`, or the definition that has been learnt since it was declared; the type may still be incomplete."""
        bare = kind.bare
        if not isinstance(bare, Record) or bare.is_complete:
            return kind
        return self._scope.tag(bare.name) or kind

    def describe(self, name: str) -> str:
        """The definition of type `name` with every member's offset and size in bytes; raises `UnknownType`."""
        from hillemu.inspection.structs.printing import type_text

        return type_text(self.completed(self[name]))

    @property
    def constants(self) -> Mapping[str, int]:
        """The enumerators that `define` has learnt, by name."""
        return dict(self._scope.constants)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name.strip()) is not None

    def __iter__(self) -> Iterator[str]:
        """The names of all types but C's own; reads all of the debugging information."""
        names = dict.fromkeys(self._scope)
        for types in self._sources:
            names |= dict.fromkeys(types.names)
        return (name for name in names if name not in BASE_TYPES)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Structs: {len(self)} types>"

    # ---- finding ------------------------------------------------------------------------------------------------

    @property
    def _sources(self) -> list[DwarfTypes]:
        elf, path = self._image()
        if self._image_types is None or self._image_types.path != path or self._image_types._elf is not elf:
            self._image_types = DwarfTypes(elf, path or "the image")
        return [*self._files, self._image_types]

    def _elsewhere(self, name: str) -> CType | None:
        for types in self._sources:
            found = types.find(name)
            if found is not None:
                return found
        return None

    def _find(self, name: str) -> CType | None:
        simple = self._scope.typedefs.get(name) or self._scope.tag(name) or BASE_TYPES.get(name)
        simple = simple or USUAL_TYPEDEFS.get(name)
        if simple is not None:
            return simple
        for kind in _TAGS if name.isidentifier() else ():
            tagged = self._scope.tag(f"{kind} {name}")
            if tagged is not None:
                return tagged
        if name.isidentifier() or (
            name.split()[:1] and name.split()[0] in _TAGS and name.replace(" ", "").isidentifier()
        ):
            return None
        return self._composed(name)

    def _composed(self, name: str) -> CType | None:
        """A pointer, an array, or a base type in another order of words."""
        scope = self._scope.copy()
        try:
            found = CReader(name, scope).read_type_name()
        except WrongC as error:
            raise UnknownType(f"{name!r} is no type: {str(error).removeprefix('line 1: ')}") from None
        lost = [tag for tag in scope.tags if tag not in self._scope.tags]
        if lost:
            raise UnknownType(self._no_such(lost[0]))
        return found

    def _no_such(self, name: str) -> str:
        known = [*self, *USUAL_TYPEDEFS, *BASE_TYPES]
        hint = did_you_mean(name, known) or did_you_mean(f"struct {name}", known)
        if not hint and not any(types.has_types for types in self._sources):
            hint = (
                "; the image has no debugging information (gcc -g writes it): define() the type (--types FILE.c), or "
                "load_dwarf() a file"
            )
        hint = hint or alike_or_nearest(name, self)
        return f"no type {name!r}{hint}"


__all__ = ["BadDwarf", "Structs", "UnknownType", "WrongC"]
