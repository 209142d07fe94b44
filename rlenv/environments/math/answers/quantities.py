"""Whether two values with units are the same."""

from __future__ import annotations

from fractions import Fraction

from . import units
from .nodes import Apply, Node, Number, Quantity, Symbol, variables
from .values import Values


class Quantities(Values):
    """The rules for values with a unit."""

    def _quantities(self, a: Node, b: Node) -> bool:
        self.rule = "unit"
        if isinstance(a, Quantity) and isinstance(b, Quantity):
            factor = units.compatible(a.unit, b.unit)
            if factor is None:
                return self._angles(a, b)
            return self._values(_times(a.value, factor), b.value)
        quantity, bare = (a, b) if isinstance(a, Quantity) else (b, a)
        assert isinstance(quantity, Quantity)
        lettered = _letters_as_units(bare)
        if lettered is not None and units.measure(quantity.unit):
            return self._quantities(quantity, lettered)
        if self._values(quantity.value, bare):
            return True
        if quantity.unit == (("%", 1),):
            self.rule = "percent"
            return self._values(_times(quantity.value, Fraction(1, 100)), bare)
        if units.is_angle(quantity.unit, "degree"):
            return self._values(Apply("degree", (quantity.value,)), bare)
        return False

    def _angles(self, a: Quantity, b: Quantity) -> bool:
        for degrees, radians in ((a, b), (b, a)):
            if units.is_angle(degrees.unit, "degree") and units.is_angle(radians.unit, "radian"):
                return self._values(Apply("degree", (degrees.value,)), radians.value)
        return False


def _times(node: Node, factor: Fraction) -> Node:
    return node if factor == 1 else Apply("*", (node, Number(factor)))


def _letters_as_units(node: Node) -> Quantity | None:
    """Read `5 m^2`, a number times letters that all name units, as a measured value."""
    powers: dict[str, int] = {}

    def take(part: Node, sign: int) -> list[Node]:
        """Sort a factor into powers or the numbers that are returned."""
        if isinstance(part, Apply) and part.name in ("*", "/"):
            left, right = part.arguments
            return take(left, sign) + take(right, -sign if part.name == "/" else sign)
        base, power = part, 1
        if isinstance(part, Apply) and part.name == "^":
            base, exponent = part.arguments
            if not isinstance(exponent, Number) or exponent.value.denominator != 1:
                return [part]
            power = int(exponent.value)
        if isinstance(base, Symbol) and units.known(base.name) and abs(power) < 10:
            powers[base.name] = powers.get(base.name, 0) + sign * power
            return []
        return [part]

    numbers = take(node, 1)
    if not powers or len(numbers) != 1 or variables(numbers[0]):
        return None
    return Quantity(numbers[0], tuple(sorted((n, p) for n, p in powers.items() if p)))
