"""Classes of `planner.values` do what those of `dataclasses` do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field

import pytest

from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    name: str
    size: int = 1
    note: str = field(default="", compare=False)
    hidden: tuple[int, ...] = field(default=(), repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    name: str
    size: int = 1
    note: str = field(default="", compare=False)
    hidden: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Itself:
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    of: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    name: str

    def __hash__(self) -> int:
        return 17


@dataclass(slots=True)
class Open:
    name: str


GIVEN = ({"name": "a"}, {"name": "a", "size": 2}, {"name": "a", "note": "n"}, {"name": "b", "hidden": (1,)})


@pytest.mark.parametrize("one", GIVEN)
@pytest.mark.parametrize("other", GIVEN)
def test_they_are_as_equal_and_hash_as_equal_as_plain_ones(one, other):
    same = Plain(**one) == Plain(**other)
    assert (Value(**one) == Value(**other)) is same
    assert (Value(**one) != Value(**other)) is not same
    assert (len({Value(**one), Value(**other)}) == 1) is same
    assert repr(Value(**one)) == repr(Plain(**one)).replace("Plain", "Value")


def test_they_equal_no_other_class_and_where_told_only_themselves():
    assert Value(name="a") != Plain(name="a") and Value(name="a").__eq__(3) is NotImplemented
    assert Itself() != Itself() and (one := Itself()) == one and len({Itself(), Itself()}) == 2
    assert Itself(name="a") != Itself(name="a")
    assert One(of=(nan := float("nan"))) == One(of=nan) != One(of=float("nan"))  # as tuples are
    assert Empty() == Empty() and hash(Empty()) == hash(Empty())
    assert hash(Hashed(name="a")) == 17 and Hashed(name="a") == Hashed(name="a") != Hashed(name="b")
    assert Open("a") == Open("a") != Open("b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Open("a"))


def test_they_are_frozen_slotted_and_keyword_only_and_copied_as_plain_ones():
    value = Value(name="a", hidden=(1, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.size = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Value("a")  # type: ignore[misc]
    with pytest.raises(TypeError, match="size_"):
        Value(name="a", size_=3)  # type: ignore[call-arg]
    assert not hasattr(value, "__dict__") and dataclasses.is_dataclass(value)
    assert dataclasses.replace(value, size=3) == Value(name="a", size=3, hidden=(1, 2))
    assert dataclasses.asdict(value) == dataclasses.asdict(Plain(name="a", hidden=(1, 2)))
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value


def test_a_field_without_a_part_in_the_hash_is_compared_all_the_same() -> None:
    @dataclass(frozen=True)
    class Named:
        name: str
        notes: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)

    one, other = Named("a", {"x": "1"}), Named("a", {"x": "2"})
    assert hash(one) == hash(other) and one != other
