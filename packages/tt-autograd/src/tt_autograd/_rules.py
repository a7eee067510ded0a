"""How an op's derivative is declared, and what a recorded call must keep for it."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from tt_tensor import Op

Vjp = Callable[..., Any]

# Where an argument of a vector-Jacobian product comes from: a number is a place among the saved
# values, a string a parameter of the op, and these two what their names say.
SHAPE, NEEDS = object(), object()


def identity(g: Any) -> Any:
    """Pass a gradient on unchanged: the product of an op whose slope is 1."""
    return g


class Plan:
    """What to save and what to run, for a rule and the inputs that need a gradient.

    Attributes:
        save: Picks the saved values out of ``(*inputs, output, aux)``; None when there are none.
        places: The places that ``save`` picks.
        shapes: Whether the shapes of all inputs are saved as the last value.
        steps: ``(input index, vector-Jacobian product, sources of its arguments)``.
        joint: ``(product, sources)`` of the one product that gives the gradients of all inputs at
            once; its results stand in for the products of ``steps``.
    """

    __slots__ = ("joint", "needs", "places", "rule", "save", "shapes", "steps")

    def __init__(self, rule: Rule, needs: tuple[bool, ...]) -> None:
        self.rule = rule
        self.needs = needs
        wanted: list[tuple[int, Vjp]]
        if rule.joint is not None:
            wanted = [(0, rule.joint)]
        else:
            wanted = [(i, rule.vjp(i)) for i, needed in enumerate(needs) if needed]
        names = [(i, vjp, argument_names(vjp)) for i, vjp in wanted]
        places: list[int] = []
        count = len(needs)
        if rule.composite is not None:
            places = list(range(count))  # create_graph=True starts again from the inputs
        for _, _, arguments in names:
            if rule.variadic in arguments:
                places = list(range(count))
        for _, _, arguments in names:
            for name in arguments:
                place = rule.place(name, count)
                if place is not None and place not in places:
                    places.append(place)
        self.places = tuple(places)
        self.shapes = any("shapes" in arguments for _, _, arguments in names)
        self.save = None if not places else _pick(places)
        steps = tuple(
            (i, vjp, tuple(self._source(i, name, count) for name in arguments))
            for i, vjp, arguments in names
        )
        self.joint = None
        if rule.joint is not None:
            self.joint = steps[0][1:]
            steps = tuple((i, rule.joint, ()) for i, needed in enumerate(needs) if needed)
        self.steps = steps

    def _source(self, index: int, name: str, count: int) -> Any:
        if name == "shape":
            return SHAPE
        if name == "needs":
            return NEEDS
        if name == "shapes":
            return len(self.places)
        if name == "i":
            return (index,)
        if name == self.rule.variadic:
            return slice(0, count)
        place = self.rule.place(name, count)
        return name if place is None else self.places.index(place)


def _pick(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if len(places) == 1:
        only = places[0]
        return lambda values: (values[only],)
    return itemgetter(*places)


def argument_names(vjp: Vjp) -> tuple[str, ...]:
    """Return the names of a product's arguments after the gradient ``g``."""
    code = vjp.__code__
    names = code.co_varnames[: code.co_argcount]
    if not names or names[0] != "g":
        raise TypeError(f"a vector-Jacobian product takes g first, got arguments {names}")
    return names[1:]


class Rule:
    """The derivative of one op: a vector-Jacobian product for each input.

    Attributes:
        plans: What to save and run, by which inputs need a gradient.
        pair: Of an op of two operands that is run in a hurry, the plans where the second needs
            one, the first, and both.
    """

    __slots__ = ("composite", "each", "joint", "op", "pair", "plans", "vjps")

    def __init__(
        self,
        op: Op,
        vjps: dict[str, Vjp],
        each: Vjp | None,
        joint: Vjp | None,
        composite: Callable[..., Any] | None,
    ) -> None:
        unknown = vjps.keys() - set(op.inputs)
        if unknown:
            raise TypeError(f"{op.name} has no input {sorted(unknown)[0]!r}; it has {op.inputs}")
        self.op = op
        self.vjps = vjps
        self.each = each
        self.joint = joint
        self.composite = composite
        self.plans: dict[tuple[bool, ...], Plan] = {}
        self.pair: tuple[Plan, Plan, Plan] | None = None

    def plan(self, needs: tuple[bool, ...]) -> Plan:
        """Return the plan for the inputs that need a gradient, made at the first call."""
        plan = self.plans.get(needs)
        if plan is None:
            plan = self.plans[needs] = Plan(self, needs)
        return plan

    def vjp(self, index: int) -> Vjp:
        """Return the product for one input.

        Raises:
            RuntimeError: The op is not differentiable in it.
        """
        if self.each is not None:
            return self.each
        name = self.op.inputs[index]
        if name not in self.vjps:
            raise RuntimeError(
                f"{self.op.name}: not differentiable in {name!r}; detach() that tensor"
            )
        return self.vjps[name]

    @property
    def variadic(self) -> str | None:
        """The name of the inputs of an op that takes any number of them."""
        first = self.op.inputs[0]
        return first[1:] if first.startswith("*") else None

    def place(self, name: str, count: int) -> int | None:
        """Return where a value stands in ``(*inputs, output, aux)``, None for a parameter."""
        if name == "out":
            return count
        if name == "aux":
            return count + 1
        if name in self.op.inputs:
            return self.op.inputs.index(name)
        return None


RULES: dict[Op, Rule] = {}
NON_DIFFERENTIABLE: set[Op] = set()


def defvjp(
    op: Op,
    *,
    each: Vjp | None = None,
    joint: Vjp | None = None,
    composite: Callable[..., Any] | None = None,
    **vjps: Vjp,
) -> None:
    """Declare the derivative of an op.

    Each vector-Jacobian product is given under the name of the input it is for. Its first
    argument is ``g``, the gradient of the output; the others are found by their names, and only
    what they name is kept from the forward pass:

    - an input's name: that input; the name of any number of inputs: the tuple of them;
    - ``out``: the output; ``aux``: what the op's ``recorded`` kernel returned beside it;
    - ``shape``: the shape of the input that the product is for; ``shapes``: those of all inputs;
    - ``needs``: a tuple that says which inputs need a gradient;
    - ``i``: the number of the input (in ``each``);
    - any other name: the op's parameter of that name.

    Products are written in what arrays and tensors share (operators, ``sum``, ``reshape``,
    ``swapaxes``, ``shape``, and ops called as functions), so that the same line serves
    ``backward()`` on arrays and ``backward(create_graph=True)`` on tensors. Broadcasting need
    not be undone: that happens in one place for all. A product must not return one of its
    arguments other than ``g``.

    Args:
        op: The op.
        each: One product for all inputs of an op that takes any number of them.
        joint: One product that returns a tuple with the gradients of all inputs at once, None
            where ``needs`` is false.
        composite: The op in terms of other ops, for products that only work on arrays: takes
            the op's inputs and parameters. Derivatives of derivatives are taken of it.
        **vjps: Products by input name.

    Raises:
        TypeError: A name is none of the op's inputs, or a product does not take ``g`` first.

    Example:
        >>> import tt_autograd as tt
        >>> cube = tt.Op("cube", lambda input: input * input * input)
        >>> tt.defvjp(cube, input=lambda g, input: g * (3 * input * input))
        >>> x = tt.tensor(2.0, requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad
        tensor(12.)
    """
    for vjp in (each, joint, *vjps.values()):
        if vjp is not None:
            argument_names(vjp)
    RULES[op] = Rule(op, vjps, each, joint, composite)


def defnograd(*ops: Op) -> None:
    """Declare that ops have no derivative: their results never require grad.

    Example:
        >>> import tt_autograd as tt
        >>> parity = tt.Op("parity", lambda input: input % 2)
        >>> tt.defnograd(parity)
        >>> parity(tt.tensor(3.0, requires_grad=True)).requires_grad
        False
    """
    NON_DIFFERENTIABLE.update(ops)
