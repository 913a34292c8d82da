"""A property that is worked out once, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

_T = TypeVar("_T")


class CachedProperty(Generic[_T]):
    """A property that keeps its first value in the instance.

    `functools.cached_property` has one lock for all instances of a class before Python 3.12. A fork may find it taken by another
    thread, and its child would wait for it for ever. This one has none: threads that come at the same time may all work the value
    out, and all of them get the one that was kept first.
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        self._function, self._name = function, ""
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> CachedProperty[_T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> CachedProperty[_T] | _T:
        if instance is None:
            return self
        kept: _T = vars(instance).setdefault(self._name, self._function(instance))
        return kept
