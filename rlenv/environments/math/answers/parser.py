r"""From tokens to a tree: recursive descent, one method for each level of precedence.

An answer is a list of items; an item is a relation or a set expression, with a unit behind it; and
below that come sums, products, powers and the forms that stand by themselves (`\frac`, `\sqrt`,
brackets, matrices, ...). What is not known raises `Unreadable`: nothing is guessed.
"""

from __future__ import annotations

from . import units
from .latex import ZERO, LatexCommands
from .lexer import CONSTANT_WORDS, FUNCTIONS, RELATIONS, STARTS, Style, tokenize
from .limits import Unreadable
from .nodes import (
    Apply,
    Matrix,
    Node,
    Number,
    Quantity,
    Relation,
    Row,
    SetOperation,
    Several,
    Symbol,
)


def parse(text: str, style: Style = Style()) -> Node:  # noqa: B008 frozen
    """Read an answer.

    Args:
        text: as `lexer.plain` leaves it.
        style: how ambiguous marks are read.

    Raises:
        Unreadable: it is no known notation.
        TooLarge: it is too long or nested too deeply.
    """
    return Parser(tokenize(text, style)).answer()


class Parser(LatexCommands):
    """The levels of precedence, from sums and products to an answer's items, sides and units."""

    def sum(self) -> Node:
        """Read terms with plus, minus or plus-minus between them."""
        return self.deeper(self._sum)

    def _sum(self) -> Node:
        left = self.product()
        while True:
            if self.takes("+"):
                left = Apply("+", (left, self.product()))
            elif self.takes("-"):
                left = Apply("-", (left, self.product()))
            elif self.takes("pm"):
                left = Apply("pm", (left, self.product()))
            elif self.takes("mp"):
                left = Apply("mp", (left, self.product()))
            else:
                return left

    def product(self) -> Node:
        """Read factors, with or without a sign between them."""
        left: Node = self.signed()
        while True:
            if self.takes("*"):
                left = Apply("*", (left, self.signed()))
            elif self.sees("/") and self.peek(1).kind != "text":
                self.at += 1
                left = Apply("/", (left, self.signed()))
            elif self.starts_factor():
                left = Apply("*", (left, self.power()))
            else:
                return left

    def signed(self) -> Node:
        """Read a factor with signs before it."""
        negative = False
        count = 0
        while True:
            if self.takes("-"):
                negative = not negative
            elif self.takes("pm"):
                both = Apply("pm", (ZERO, self.power()))
                return Apply("neg", (both,)) if negative else both
            elif self.takes("mp"):
                return Apply("mp", (ZERO, self.power()))
            elif not self.takes("+"):
                break
            count += 1
        if count > 8:
            raise Unreadable("a row of signs")
        value = self.power()
        if negative and isinstance(value, Number):
            return Number(-value.value, value.digits, value.places)
        return Apply("neg", (value,)) if negative else value

    def starts_factor(self) -> bool:
        """Whether a factor follows without a sign of multiplication."""
        token = self.peek()
        if token.kind == "name":
            if self.differential and self.is_differential():
                return False
            if token.text.lower() in ("and", "or", "to"):
                return False
            if token.text == "U" and self.tokens[self.at - 1].text in (")", "]", "}}"):
                return False
            before = self.tokens[self.at - 1]
            if before.kind == "number" and token.text.lower().rstrip("s") in units.MULTIPLIERS:
                return False
            unit_follows = before.kind == "number" or before.text in ("}", ")")
            return not (unit_follows and len(token.text) > 1 and self.is_unit(token.text))
        if token.kind == "text":
            return token.text in FUNCTIONS and not units.known(token.text)
        if token.kind == "command":
            return token.text in STARTS
        if token.kind == "number":
            before = self.tokens[self.at - 1]
            return before.text in (")", "}", "]", "!") and before.kind == "sign"
        if token.kind != "sign":
            return False
        if token.text == "|":
            return self.bars == 0
        return token.text in ("(", "{")

    def is_unit(self, word: str) -> bool:
        """Whether a word is a unit, and nothing else that a value could hold."""
        return units.known(word) and word.lower() not in FUNCTIONS and word not in CONSTANT_WORDS

    def is_differential(self) -> bool:
        """Whether `dx` or `d x` comes next."""
        token = self.peek()
        if token.text == "d" and self.peek(1).kind == "name":
            return True
        return len(token.text) == 2 and token.text[0] == "d"

    def power(self) -> Node:
        """Read a base with its exponent and what stands behind it."""
        return self.deeper(self._power)

    def _power(self) -> Node:
        base = self.postfix(self.primary())
        if not self.takes("^"):
            return base
        if self.takes("circ", "degree"):
            return self.postfix(Apply("degree", (base,)))
        if self.sees("{") and self.peek(1).text in ("circ", "degree") and self.peek(2).text == "}":
            self.at += 3
            return self.postfix(Apply("degree", (base,)))
        if isinstance(base, Row) and (self.takes("T", "top") or self.takes_group("T", "top")):
            return base
        if isinstance(base, Matrix) and self.takes("T", "top"):
            return Apply("transpose", (base,))
        if isinstance(base, Matrix) and self.takes_group("T", "top"):
            return Apply("transpose", (base,))
        exponent = self.exponent()
        if isinstance(base, Symbol) and "_" not in base.name and self.takes("_"):  # v^2_0
            base = Symbol(f"{base.name}_{self.index()}")
        return self.postfix(Apply("^", (base, exponent)))

    def exponent(self) -> Node:
        """Read what stands behind `^`: a group, or a power with signs before it."""
        if self.sees("{"):
            return self.group()
        if self.takes("-"):
            return Apply("neg", (self.exponent(),))
        return self.power()

    def postfix(self, value: Node) -> Node:
        """Read factorials and degrees behind a value."""
        while True:
            if self.takes("!"):
                value = Apply("factorial", (value,))
            elif self.takes("!!"):
                value = Apply("double_factorial", (value,))
            elif self.sees("degree", kind="command"):
                self.at += 1
                value = Apply("degree", (value,))
            else:
                return value

    def answer(self) -> Node:
        """Read all there is; points and commas around it do not count."""
        if not self.tokens:
            raise Unreadable("nothing there")
        while self.takes(".") and self.peek().kind != "end":
            pass
        found = self.listing()
        while self.takes(".", ","):
            pass
        if self.peek().kind != "end":
            raise Unreadable(f"{self.peek().text!r} was not expected")
        return found

    def listing(self) -> Node:
        """Items between commas; semicolons, where there are both, separate groups of them."""
        groups: list[list[Node]] = [[self.item()]]
        words: list[str] = []
        while True:
            if self.takes(";"):
                groups.append([])
            elif not self.separator():
                break
            else:
                words.append(self.tokens[self.at - 1].text.strip(" ,").lower())
            if self.peek().kind == "end" or self.sees("}", "}}"):
                break
            groups[-1].append(self.item())
        groups = [group for group in groups if group]
        if len(groups) > 1 and any(len(group) > 1 for group in groups):
            return Several(tuple(_several(group) for group in groups))
        items = [item for group in groups for item in group]
        if len(items) == len(words) + 1 and {"and", "or"} <= set(words):
            return _alternatives(items, words)
        word = next((w for w in ("or", "and") if w in words), "")
        return _several(items, word)

    def separator(self) -> bool:
        """Take a comma, an `and` or an `or`, or several of them in a row."""
        taken = False
        while True:
            token = self.peek()
            word = token.text.strip(" ,").lower()
            if self.sees(",") or (
                token.kind in ("text", "name", "command") and word in ("and", "or", "")
            ):
                after = self.peek(1)
                if token.kind == "end" or (self.sees(",") and after.kind == "end"):
                    return taken
                if self.sees(",") and after.text in ("&", "\\", "end"):
                    self.at += 1
                    return False
                self.at += 1
                taken = True
            else:
                return taken

    def item(self) -> Node:
        """A relation or a value, with its unit."""
        self.currency = None
        self.takes("=", "~")  # as in `= 5` and `\\approx 5`
        sides = [self.side()]
        if self.takes("mapsto"):
            return self.side()
        signs: list[str] = []
        while True:
            token = self.peek()
            if token.kind == "sign" and token.text in RELATIONS:
                signs.append(self.next().text)
            elif self.sees("in", kind="command"):
                self.at += 1
                signs.append("in")
            else:
                break
            sides.append(self.side())
        return Relation(tuple(sides), tuple(signs)) if signs else sides[0]

    def side(self) -> Node:
        """A set expression or a value with its unit."""
        value = self.measured()
        while True:
            if self.takes("cup") or (
                self.peek().text == "U"
                and self.tokens[self.at - 1].text in (")", "]", "}}")
                and self.takes("U")
            ):
                value = SetOperation("union", value, self.measured())
            elif self.takes("cap"):
                value = SetOperation("intersection", value, self.measured())
            elif self.takes("setminus"):
                value = SetOperation("minus", value, self.measured())
            else:
                return value

    def measured(self) -> Node:
        """Read a value with its unit or currency, or a ratio."""
        value = self.sum()
        currency = self.currency
        value, unit = self.unit(value)
        if currency:
            named = units.parse(currency)
            unit = unit if unit and units.measure(unit) else named
            self.currency = None
        if not unit and isinstance(value, Apply) and value.name == "degree":
            value, unit = value.arguments[0], (("degree", 1),)
        if not unit and isinstance(value, Apply) and value.name == "neg":
            inner = value.arguments[0]
            if isinstance(inner, Apply) and inner.name == "degree":
                value, unit = Apply("neg", inner.arguments), (("degree", 1),)
        if not unit:
            return self.ratio(value)
        if isinstance(value, Number) and self.peek().kind == "number":
            more = self.measured()  # 1 hour 30 minutes
            factor = units.compatible(more.unit, unit) if isinstance(more, Quantity) else None
            if factor is None or not isinstance(more, Quantity) or not units.measure(unit):
                raise Unreadable("two values in a row")
            return Quantity(Apply("+", (value, Apply("*", (more.value, Number(factor))))), unit)
        return Quantity(value, unit)

    def ratio(self, value: Node) -> Node:
        """Read `3:4` and `3 to 4` as a quotient, `2:3:4` as multiples of its first part."""
        parts = [value]
        while not self.bars and (
            self.sees(":") or (self.peek().kind in ("text", "name") and self.peek().text == "to")
        ):
            self.at += 1
            parts.append(self.sum())
        if len(parts) == 1:
            return value
        if len(parts) == 2:
            return Apply("/", (parts[0], parts[1]))
        return Row(tuple(Apply("/", (part, value)) for part in parts), ":", ":")

    def unit(self, value: Node) -> tuple[Node, units.Unit]:
        """Read what stands behind a value: a percent sign, a currency, words, unit letters."""
        phrase: list[str] = []
        if self.takes("pmod", "bmod"):
            modulus = self.argument()
            if not isinstance(modulus, (Number, Symbol)):
                raise Unreadable("a modulus that is no number")
            name = modulus.name if isinstance(modulus, Symbol) else modulus.value
            return value, ((f"mod {name}", 1),)
        while True:
            token = self.peek()
            if token.kind == "sign" and token.text in ("%", *units.CURRENCY):
                phrase.append("%" if token.text == "%" else units.CURRENCY[token.text])
            elif token.kind == "text":
                if token.text.strip(" ,").lower() in ("and", "or", "to", "if", "for", "when", ""):
                    break
                if not all(c.isalpha() or c in " .-/^123*()" for c in token.text):
                    raise Unreadable(f"{token.text!r} is no unit")
                phrase.append(token.text)
            elif token.kind == "name" and (
                phrase or len(token.text) > 1 or (token.spaced and units.known(token.text))
            ):
                if token.text.lower() in ("and", "or", "to"):
                    break
                phrase.append(token.text)
            elif phrase and token.kind == "sign" and token.text == "^":
                self.at += 1
                braces = self.takes("{")
                sign = "-" if self.takes("-") else ""
                power = self.next()
                if power.kind != "number" or len(power.text) > 1 or power.text == "0":
                    raise Unreadable("no power of a unit")
                if braces:
                    self.expect("}")
                phrase.append(f"^{sign}{power.text}")
                continue
            elif phrase and token.kind == "sign" and token.text in ("/", "*"):
                phrase.append(token.text)
            else:
                break
            self.at += 1
        words = " ".join(phrase).split()
        while words and words[0].lower().rstrip("s") in units.MULTIPLIERS:
            name = words.pop(0).lower().rstrip("s")
            if name in ("percent", "pct", "percentage"):
                words.insert(0, "%")
                break
            value = Apply("*", (value, Number(units.MULTIPLIERS[name])))
        if words and words[0] == "%":
            return value, (("%", 1),)
        return value, units.parse(" ".join(words)) if words else ()


def _alternatives(items: list[Node], words: list[str]) -> Node:
    """Group `a and b or c and d`: `and` binds more tightly."""
    groups = [[items[0]]]
    for word, item in zip(words, items[1:], strict=True):
        if word == "or":
            groups.append([item])
        else:
            groups[-1].append(item)
    return _several([_several(group, "and") for group in groups], "or")


def _several(items: list[Node], word: str = "") -> Node:
    return items[0] if len(items) == 1 else Several(tuple(items), word=word)
