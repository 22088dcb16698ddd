"""Frozen dataclasses that are quick to define.

`dataclasses.dataclass` compiles the source of six methods for each class. With some 170 classes that is a
quarter of what `ratematch plan` takes as a process. Comparison, hash and text do the same for every class, so
that here they are written once, over the names of its fields.

>>> @dataclass(frozen=True, slots=True, kw_only=True)
... class Layout:
...     tp: int
...     pp: int = 1
>>> Layout(tp=8), Layout(tp=8) == Layout(tp=8, pp=1), Layout(tp=8) in {Layout(tp=4)}
(Layout(tp=8, pp=1), True, False)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # what a type checker is to take it for
else:
    import dataclasses
    from operator import attrgetter

    def dataclass(*, eq=True, **options):
        """`dataclasses.dataclass` for a class decorator with arguments, which are the same."""

        def made(of):
            own = vars(of)
            of.__repr__ = own.get("__repr__", _text)
            compared = eq and options.get("frozen") and "__eq__" not in own
            if compared:
                of.__eq__ = _same
                of.__hash__ = own.get("__hash__") or _hash
            done = dataclasses.dataclass(eq=eq and not compared, repr=False, **options)(of)
            if compared:
                named = [one for one in dataclasses.fields(done) if one.compare]
                done._compared = staticmethod(_getter([one.name for one in named]))
                done._hashed = staticmethod(_getter([one.name for one in named if one.hash is not False]))
            return done

        return made

    def _text(self):
        said = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
        return f"{type(self).__qualname__}({', '.join(said)})"

    def _same(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self._compared(self) == self._compared(other)

    def _hash(self):
        return hash(self._hashed(self))

    def _getter(names):
        """What gets the values of some attributes, as a tuple."""
        if len(names) > 1:
            return attrgetter(*names)
        return lambda of: tuple(getattr(of, name) for name in names)
