"""Modules made of modules: in sequence, in a list, in a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Self, TypeVar, overload

import tt_tensor
from tt_autograd import Tensor

from ._module import Module

M = TypeVar("M", bound=Module)


class _Ordered(Module, Generic[M]):
    """Modules in order, each an attribute of its own: "0", "1", ... or names of its own."""

    def _named(self) -> list[tuple[str, M]]:
        # Module is all that is known of M at run time.
        return self._own(Module)  # type: ignore[arg-type]

    def _set_all(self, modules: Iterable[tuple[str, M]]) -> None:
        listed = list(modules)
        for name, _ in self._named():
            delattr(self, name)
        for name, module in listed:
            self.add_module(name, module)

    def _at(self, index: int) -> tuple[str, M]:
        named = self._named()
        try:
            return named[index]
        except IndexError:
            raise IndexError(
                f"{type(self).__name__}: index {index} is out of range for {len(named)} modules"
            ) from None

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[M]:
        return iter([module for _, module in self._named()])

    def __setitem__(self, index: int, module: M) -> None:
        setattr(self, self._at(index)[0], module)

    def __delitem__(self, index: int) -> None:
        gone, _ = self._at(index)
        left = [(name, module) for name, module in self._named() if name != gone]
        self._set_all(_numbered(left))

    def append(self, module: M) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[M]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: M) -> Self:
        """Add a module before the one at ``index``; the numbers of those after it rise."""
        named = self._named()
        named.insert(index, (str(len(named)), module))
        self._set_all(_numbered(named))
        return self


def _numbered(named: list[tuple[str, M]]) -> list[tuple[str, M]]:
    """Number modules anew where their names are numbers."""
    return [
        (str(i) if name.isdecimal() else name, module) for i, (name, module) in enumerate(named)
    ]


class Sequential(_Ordered[Module]):
    """Modules that run one after the other, each on the output of the one before.

    Args:
        *modules: The modules in order, or one mapping of names to modules.

    Raises:
        TypeError: One of them is no module.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> model(tt.ones(3, 4)).shape
        (3, 2)
        >>> model[:2]
        Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
        )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, named in modules[0].items():
                self.add_module(name, named)
            return
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(
                    f"Sequential: expected modules, got {type(module).__name__} at place {i}"
                )
            self.add_module(str(i), module)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Run all modules in order."""
        output = input
        for module in list(self.__dict__.values()):
            if isinstance(module, Module):
                output = module(output)
        return output  # type: ignore[return-value]  # the first module makes it one

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return Sequential(dict(self._named()[index]))
        return self._at(index)[1]


class ModuleList(_Ordered[M]):
    """A list of modules whose parameters count as its own.

    Args:
        modules: The modules in order.

    Example:
        >>> import tt_nn as nn
        >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)
    """

    def __init__(self, modules: Iterable[M] = ()) -> None:
        super().__init__()
        self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> M: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList[M]: ...
    def __getitem__(self, index: int | slice) -> M | ModuleList[M]:
        if isinstance(index, slice):
            return ModuleList(module for _, module in self._named()[index])
        return self._at(index)[1]


class ModuleDict(Module, Generic[M]):
    """A dictionary of modules whose parameters count as its own.

    Args:
        modules: The modules by name. A name has no dots and is none of the dictionary's own
            attributes.

    Example:
        >>> import tt_nn as nn
        >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
        >>> heads["parity"]
        Linear(in_features=8, out_features=2, bias=True)
    """

    def __init__(self, modules: Mapping[str, M] | Iterable[tuple[str, M]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def _named(self) -> dict[str, M]:
        # Module is all that is known of M at run time.
        return dict(self._own(Module))  # type: ignore[arg-type]

    def __getitem__(self, key: str) -> M:
        named = self._named()
        if key not in named:
            raise KeyError(f"ModuleDict: no module {key!r}; there are: {', '.join(named)}")
        return named[key]

    def __setitem__(self, key: str, module: M) -> None:
        if key in self._named():
            setattr(self, key, module)
        else:
            self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]  # refuses a key that is not there
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __contains__(self, key: object) -> bool:
        return key in self._named()

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return self._named().keys()

    def values(self) -> Iterable[M]:
        """Return the modules."""
        return self._named().values()

    def items(self) -> Iterable[tuple[str, M]]:
        """Return pairs of name and module."""
        return self._named().items()

    def update(self, modules: Mapping[str, M] | Iterable[tuple[str, M]]) -> None:
        """Add modules, in the place of those that have the same names."""
        for key, module in dict(modules).items():
            self[key] = module
