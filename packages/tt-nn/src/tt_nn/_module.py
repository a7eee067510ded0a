"""The base of every network: what it owns, the mode it is in, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

import numpy as np

import tt_tensor
from tt_autograd import DTypeLike, RemovableHandle, Tensor, no_grad

from ._parameter import Parameter
from ._state import IncompatibleKeys, load_state

if TYPE_CHECKING:
    from ._summary import Summary

M = TypeVar("M", bound="Module")
K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R", covariant=True)
PreHook = Callable[[M, tuple[Any, ...]], Any]
Hook = Callable[[M, tuple[Any, ...], Any], Any]

_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))
_NONE: Mapping[Any, Any] = MappingProxyType({})


class _HasForward(Protocol[P, R]):
    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class _Call:
    """For type checkers: calling a module takes and returns what its ``forward`` does."""

    def __get__(self, instance: _HasForward[P, R], owner: object) -> Callable[P, R]:
        raise NotImplementedError


class Module:
    """Base class of all layers, losses and models.

    A module owns what is set as its attributes: every `Parameter` is one of its parameters, every
    `Module` one of its children. A subclass makes them in ``__init__`` and says in ``forward``
    what it computes; calling the module runs ``forward``.

    Attributes:
        training: Whether the module is in training mode, which `Dropout` asks for.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> class Net(nn.Module):
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.hidden = nn.Linear(2, 8)
        ...         self.out = nn.Linear(8, 1)
        ...
        ...     def forward(self, x: tt.Tensor) -> tt.Tensor:
        ...         return self.out(tt.relu(self.hidden(x)))
        >>> net = Net()
        >>> net(tt.ones(5, 2)).shape
        (5, 1)
        >>> [name for name, _ in net.named_parameters()]
        ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool = True
    # Of the class, and empty; a module gets its own with the first entry.
    _buffers: Mapping[str, bool] = _NONE  # name: whether it is part of the state dict
    _forward_pre_hooks: Mapping[int, PreHook[Any]] = _NONE
    _forward_hooks: Mapping[int, Hook[Any]] = _NONE

    # Calling

    if TYPE_CHECKING:
        forward: Callable[..., Any]
        __call__ = _Call()
    else:

        def forward(self, *args, **kwargs):
            """Compute the module's output; every subclass defines its own."""
            raise NotImplementedError(f"{type(self).__name__} defines no forward")

        def __call__(self, *args, **kwargs):
            if self._forward_pre_hooks or self._forward_hooks:
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for before in list(self._forward_pre_hooks.values()):
            changed = before(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for after in list(self._forward_hooks.values()):
            changed = after(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_pre_hook(self, hook: PreHook[Self]) -> RemovableHandle:
        """Call ``hook(module, args)`` before every forward pass.

        Args:
            hook: What it returns, unless None, takes the place of the positional arguments.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return RemovableHandle(self._table("_forward_pre_hooks"), hook)

    def register_forward_hook(self, hook: Hook[Self]) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every forward pass.

        Args:
            hook: What it returns, unless None, takes the place of the output.

        Returns:
            A handle whose ``remove()`` takes the hook away.

        Example:
            >>> import tt_autograd as tt
            >>> import tt_nn as nn
            >>> layer = nn.Linear(2, 3)
            >>> handle = layer.register_forward_hook(lambda m, args, out: print(out.shape))
            >>> _ = layer(tt.ones(4, 2))
            (4, 3)
            >>> handle.remove()
        """
        return RemovableHandle(self._table("_forward_hooks"), hook)

    def _table(self, name: str) -> dict[Any, Any]:
        table: dict[Any, Any] = self.__dict__.setdefault(name, {})
        return table

    # Attributes

    def __setattr__(self, name: str, value: object) -> None:
        current = self.__dict__.get(name)
        for kind in (Parameter, Module):
            if isinstance(current, kind) and not (value is None or isinstance(value, kind)):
                raise TypeError(
                    f"{type(self).__name__}: {name!r} is a {kind.__name__}; expected a "
                    f"{kind.__name__} or None in its place, got {type(value).__name__}"
                )
        if name in self._buffers:
            value = _as_buffer(type(self).__name__, name, value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        if name in self._buffers:
            del self._table("_buffers")[name]

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            kind = type(self)
            if hasattr(kind, name):
                return object.__getattribute__(self, name)  # a property's own AttributeError
            message = f"{kind.__name__} has no attribute {name!r}"
            if not name.startswith("_"):
                from difflib import get_close_matches

                close = get_close_matches(name, [n for n in dir(self) if n[0] != "_"])
                if close:
                    message += f"; did you mean {' or '.join(map(repr, close))}?"
            # No obj: from 3.12 on Python would add a hint of its own to the one above.
            raise AttributeError(message, name=name, obj=None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter under a name that is only known at run time; None leaves it out."""
        if not isinstance(param, Parameter | None):
            raise TypeError(
                f"register_parameter: expected {name!r} to be a Parameter or None, "
                f"got {type(param).__name__}"
            )
        self._check_name("register_parameter", name)
        setattr(self, name, param)

    def register_buffer(
        self, name: str, tensor: tt_tensor.Tensor | None, persistent: bool = True
    ) -> None:
        """Set a tensor that belongs to the module's state but is not learned.

        Args:
            name: The attribute to set.
            tensor: The values; None for a buffer that is not in use.
            persistent: Whether it is part of the state dict.

        Raises:
            TypeError: ``tensor`` is no tensor.
            ValueError: The name is taken, or cannot be one.

        Example:
            >>> import tt_autograd as tt
            >>> import tt_nn as nn
            >>> layer = nn.Module()
            >>> layer.register_buffer("steps", tt.tensor(0))
            >>> layer.state_dict()
            {'steps': tensor(0)}
        """
        value = _as_buffer("register_buffer", name, tensor)
        self._check_name("register_buffer", name)
        self._table("_buffers")[name] = persistent
        setattr(self, name, value)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a child under a name that is only known at run time."""
        if not isinstance(module, Module | None):
            raise TypeError(
                f"add_module: expected {name!r} to be a Module or None, got {type(module).__name__}"
            )
        self._check_name("add_module", name)
        setattr(self, name, module)

    def _check_name(self, function: str, name: object) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{function}: expected a name without dots, got {name!r}")
        if name in self.__dict__ or hasattr(type(self), name):
            raise ValueError(f"{function}: {type(self).__name__} already has a {name!r}")

    # What it owns

    def _own(self, kind: type[K]) -> list[tuple[str, K]]:
        return [(name, v) for name, v in self.__dict__.items() if isinstance(v, kind)]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Go over the modules that are attributes of this one, each once, with their names."""
        seen: set[int] = set()
        for name, child in self._own(Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """Go over the modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Go over this module and all below it, with their dotted names.

        Args:
            prefix: What names start with.
            remove_duplicate: Whether a module that is there twice comes once.

        Example:
            >>> import tt_nn as nn
            >>> model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
            >>> [name for name, _ in model.named_modules()]
            ['', '0', '1', '1.0']
        """
        yield from self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, name: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield name, self
        for key, child in self._own(Module):
            yield from child._walk(f"{name}.{key}" if name else key, seen)

    def modules(self) -> Iterator[Module]:
        """Go over this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """Return the module with a dotted name; the module itself for an empty one.

        Raises:
            AttributeError: There is none.
        """
        found: Module = self
        for name in target.split(".") if target else []:
            child = getattr(found, name)
            if not isinstance(child, Module):
                raise AttributeError(
                    f"get_submodule: {name!r} in {target!r} is no module, but a "
                    f"{type(child).__name__}"
                )
            found = child
        return found

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Go over the parameters with their dotted names.

        Args:
            prefix: What names start with.
            recurse: Whether those of modules below are included.
            remove_duplicate: Whether a parameter that is there twice comes once.
        """
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, parameter in module._own(Parameter):
                if remove_duplicate:
                    if id(parameter) in seen:
                        continue
                    seen.add(id(parameter))
                yield (f"{path}.{name}" if path else name), parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Go over the parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Go over the buffers with their dotted names; see `named_parameters`."""
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name in module._buffers:
                buffer = module.__dict__[name]
                if buffer is None or (remove_duplicate and id(buffer) in seen):
                    continue
                seen.add(id(buffer))
                yield (f"{path}.{name}" if path else name), buffer

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Go over the buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # State

    def state_dict(self) -> dict[str, Tensor]:
        """Return the parameters and persistent buffers by name, in torch's order.

        The tensors share memory with the module's and have no history.

        Example:
            >>> import tt_nn as nn
            >>> list(nn.Sequential(nn.Linear(2, 3), nn.ReLU()).state_dict())
            ['0.weight', '0.bias']
        """
        return {name: tensor.detach() for name, tensor in self._named_state()}

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        for path, module in self.named_modules(remove_duplicate=False):
            start = f"{path}." if path else ""
            for name, parameter in module._own(Parameter):
                yield start + name, parameter
            for name, persistent in module._buffers.items():
                if persistent and module.__dict__[name] is not None:
                    yield start + name, module.__dict__[name]

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers: all of them, or none.

        Args:
            state_dict: Tensors or arrays by name, as `state_dict` and `load` return them. They
                take on the dtypes of the module's own.
            strict: Whether the names must be the module's, no more and no fewer.

        Returns:
            The names that were missing and those that were not expected.

        Raises:
            ValueError: Names or shapes do not fit; the message lists all that do not, and nothing
                has been copied.
            TypeError: A value is no tensor, or its dtype cannot be held; nothing has been copied.

        Example:
            >>> import tt_nn as nn
            >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
            >>> a.load_state_dict(b.state_dict())
            IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        """
        return load_state(type(self).__name__, dict(self._named_state()), state_dict, strict)

    # Modes and dtypes, for this module and all below it

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call ``fn`` with every module below this one, then with this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put all modules in training mode, or out of it."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: expected mode to be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put all modules in evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Start or stop collecting gradients for all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: Whether ``grad`` becomes None, which frees its memory, or else zeros.
        """
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                with no_grad():
                    parameter.grad = grad.detach().zero_()

    def to(self, dtype: DTypeLike) -> Self:
        """Turn the floating-point parameters and buffers into another floating-point dtype.

        Parameters stay the objects that they are, so that an optimizer goes on with them.

        Raises:
            TypeError: The dtype is not float16, float32 or float64.
        """
        wanted = next((known for known in _FLOATS if known == dtype), None)
        if wanted is None or dtype is None:  # which NumPy takes for float64
            raise TypeError(f"to: expected float16, float32 or float64, got {dtype!r}")
        for parameter in self.parameters():
            if parameter.is_floating_point():
                parameter._become(wanted)
        changed: dict[int, Tensor] = {}
        for module in self.modules():
            for name in module._buffers:
                buffer = module.__dict__[name]
                if buffer is not None and buffer.is_floating_point():
                    setattr(module, name, changed.setdefault(id(buffer), buffer.to(wanted)))
        return self

    def half(self) -> Self:
        """Turn parameters and buffers into float16."""
        return self.to(np.float16)

    def double(self) -> Self:
        """Turn parameters and buffers into float64."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Turn parameters and buffers into float32."""
        return self.to(np.float32)

    # Printing

    def extra_repr(self) -> str:
        """Return what stands between the brackets when the module is printed."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._own(Module)]
        extra = self.extra_repr()
        kind = type(self).__name__
        if not lines:
            return f"{kind}({extra})"
        body = "\n  ".join([extra, *lines] if extra else lines)
        return f"{kind}(\n  {body}\n)"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def summary(self, *inputs: object) -> Summary:
        """Return a table of the layers, with their parameters and the shapes they put out.

        Args:
            *inputs: What the model is called with to see shapes, once, in evaluation mode and
                without gradients; the table has no shapes without them.

        Example:
            >>> import tt_autograd as tt
            >>> import tt_nn as nn
            >>> nn.Sequential(nn.Linear(4, 8), nn.ReLU()).summary(tt.ones(1, 4))
            layer  kind        output  parameters
                   Sequential  (1, 8)           0
            0      Linear      (1, 8)          40
            1      ReLU        (1, 8)           0
            total                              40
        """
        from ._summary import summarise

        return summarise(self, inputs)


def _as_buffer(where: str, name: str, value: object) -> Tensor | None:
    if isinstance(value, Tensor) or value is None:
        return value
    if isinstance(value, tt_tensor.Tensor):
        return Tensor._wrap(value._array)
    raise TypeError(
        f"{where}: expected buffer {name!r} to be a Tensor or None, got {type(value).__name__}"
    )
