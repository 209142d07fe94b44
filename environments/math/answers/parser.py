r"""From tokens to a tree: recursive descent, one method for each level of precedence.

An answer is a list of items; an item is a relation or a set expression, with a unit behind it; and
below that come sums, products, powers and the forms that stand by themselves (`\frac`, `\sqrt`,
brackets, matrices, ...). What is not known raises `Unreadable`: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from . import units
from .errors import TooLarge, Unreadable
from .lexer import Style, Token, tokenize
from .nodes import (
    Apply,
    Bound,
    Matrix,
    Node,
    Number,
    Quantity,
    Relation,
    Row,
    SetOperation,
    Several,
    Symbol,
    walk,
)
from .vocabulary import (
    ACCENTS,
    ALIASES,
    CONSTANT_WORDS,
    FUNCTIONS,
    GREEK,
    RELATIONS,
    SETS,
    STARTS,
)

DEEPEST = 60
ZERO = Number(Fraction(0))


def parse(text: str, style: Style = Style()) -> Node:  # noqa: B008 frozen
    """Read an answer.

    Args:
        text: as `lexer.plain` leaves it.
        style: how ambiguous marks are read.

    Raises:
        Unreadable: it is no known notation.
        TooLarge: it is too long or nested too deeply.
    """
    return _Parser(tokenize(text, style)).answer()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0  # open absolute values: the next bar closes one
        self.currency: str | None = None
        self.differential: str | None = None  # inside an integral: the variable it ends with

    # what comes next

    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else Token("end", "", False)

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def sees(self, *texts: str, kind: str | None = None) -> bool:
        token = self.peek()
        if token.kind in ("text", "end"):
            return False
        return token.text in texts and (kind is None or token.kind == kind)

    def takes(self, *texts: str) -> bool:
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def takes_group(self, *texts: str) -> bool:
        """Take one of the texts in braces."""
        found = self.sees("{") and self.peek(1).text in texts and self.peek(2).text == "}"
        self.at += 3 if found else 0
        return found

    def expect(self, text: str) -> None:
        if not self.takes(text):
            raise Unreadable(f"{text!r} expected, not {self.peek().text!r}")

    def deeper(self, parse: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise TooLarge(f"nested more than {DEEPEST} deep")
        try:
            return parse()
        finally:
            self.depth -= 1

    # an answer and its items

    def answer(self) -> Node:
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
        words: set[str] = set()
        while True:
            if self.takes(";"):
                groups.append([])
            elif not self.separator():
                break
            else:
                words.add(self.tokens[self.at - 1].text.strip(" ,").lower())
            if self.peek().kind == "end" or self.sees("}", "}}"):
                break
            groups[-1].append(self.item())
        groups = [group for group in groups if group]
        if len(groups) > 1 and any(len(group) > 1 for group in groups):
            return Several(tuple(_several(group) for group in groups))
        items = [item for group in groups for item in group]
        return _several(items, "or" if "or" in words else "")

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
        self.takes("=")  # as in `= 5` and `\\approx 5`
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
                if power.kind != "number" or len(power.text) > 1:
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
            if name == "percent":
                words.insert(0, "%")
                break
            value = Apply("*", (value, Number(units.MULTIPLIERS[name])))
        if words and words[0] == "%":
            return value, (("%", 1),)
        return value, units.parse(" ".join(words)) if words else ()

    # arithmetic

    def sum(self) -> Node:
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
            return before.text in (")", "}", "]") and before.kind == "sign"
        if token.kind != "sign":
            return False
        if token.text == "|":
            return self.bars == 0
        return token.text in ("(", "{")

    def is_unit(self, word: str) -> bool:
        return units.known(word) and word.lower() not in FUNCTIONS and word not in CONSTANT_WORDS

    def is_differential(self) -> bool:
        token = self.peek()
        if token.text == "d" and self.peek(1).kind == "name":
            return True
        return len(token.text) == 2 and token.text[0] == "d"

    def power(self) -> Node:
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
        exponent = self.exponent()
        return self.postfix(Apply("^", (base, exponent)))

    def exponent(self) -> Node:
        if self.sees("{"):
            return self.group()
        if self.takes("-"):
            return Apply("neg", (self.exponent(),))
        return self.power()

    def postfix(self, value: Node) -> Node:
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

    # forms that stand by themselves

    def group(self) -> Node:
        """Read `{...}`: a group of LaTeX, or a set where it holds commas."""
        self.expect("{")
        if self.takes("}"):
            raise Unreadable("an empty group")
        inner = self.deeper(self.listing)
        if self.takes("choose"):
            inner = Apply("binom", (inner, self.sum()))
        elif self.takes("over"):
            inner = Apply("/", (inner, self.sum()))
        self.expect("}")
        if isinstance(inner, Several):
            return Several(inner.items, braces=True)
        return inner

    def argument(self) -> Node:
        r"""Read what a LaTeX command takes: a group, or a single digit or letter: `\frac12`."""
        if self.sees("{"):
            return self.group()
        token = self.peek()
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.at] = Token("number", token.text[1:], False)
            return Number(Fraction(token.text[0]))
        if token.kind == "name" and len(token.text) > 1:
            self.tokens[self.at] = Token("name", token.text[1:], False)
            return _letter(token.text[0])
        if token.kind == "number":  # a number behind it is no part of it: \\log_2 8
            return _literal(self.next().text)
        return self.primary()

    def primary(self) -> Node:
        return self.deeper(self._primary)

    def _primary(self) -> Node:
        token = self.next()
        if token.kind == "number":
            return self.number(token)
        if token.kind == "name":
            return self.name(token)
        if token.kind == "command":
            return self.command(token.text)
        if token.kind == "text":
            return self.words(token)
        if token.text in units.CURRENCY:
            self.currency = units.CURRENCY[token.text]
            return self.signed()
        if token.text == "{":
            self.at -= 1
            return self.group()
        if token.text in ("(", "[", "]"):
            return self.brackets(token.text)
        if token.text == "{{":
            return self.braces()
        if token.text == "|":
            self.bars += 1
            inner = self.sum()
            self.expect("|")
            self.bars -= 1
            return Apply("abs", (inner,))
        if token.text == "<" and self.depth < 5:
            return self.brackets("<")
        raise Unreadable(f"{token.text!r} was not expected")

    def number(self, token: Token) -> Node:
        literal = _literal(token.text)
        if literal.digits is not None:
            return literal
        # 2 1/3 and 2\frac{1}{3} are mixed numbers where the fraction is a proper one
        if self.sees("frac", kind="command"):
            at = self.at
            self.at += 1
            top, bottom = self.argument(), self.argument()
            if _proper(top, bottom):
                return Apply("+", (literal, Apply("/", (top, bottom))))
            self.at = at
        first, slash, second = self.peek(), self.peek(1), self.peek(2)
        if first.kind == "number" and first.spaced:
            if slash.text == "/" and second.kind == "number":
                top, bottom = _literal(first.text), _literal(second.text)
                if _proper(top, bottom):
                    self.at += 3
                    return Apply("+", (literal, Apply("/", (top, bottom))))
            raise Unreadable("two numbers in a row")
        return literal

    def name(self, token: Token) -> Node:
        word = token.text
        if word in CONSTANT_WORDS:
            return Symbol(CONSTANT_WORDS[word])
        if word in FUNCTIONS:
            return self.function(word)
        if len(word) > 1:
            for name in sorted(FUNCTIONS | {"pi"}, key=len, reverse=True):
                if len(name) > 1 and word.startswith(name) and len(word) > len(name):
                    self.at -= 1
                    self.tokens[self.at : self.at + 1] = [
                        Token("name", name, False),
                        Token("name", word[len(name) :], False),
                    ]
                    return self.name(self.next())
            if len(word) > 4:
                raise Unreadable(f"the word {word!r}")
            self.at -= 1
            self.tokens[self.at : self.at + 1] = [Token("name", c, False) for c in word]
            return self.name(self.next())
        return self.symbol(word)

    def symbol(self, name: str) -> Node:
        """Read a letter with its index and primes; with brackets behind it, a function's value."""
        while self.takes("'"):
            name += "'"
        if self.takes("_"):
            name += "_" + self.index()
        ahead = [self.peek(n).text for n in range(6)]
        if name in ("f", "g", "h") and ahead == ["^", "{", "-", "1", "}", "("]:
            self.at += 5
            name += "^-1"
        if name.rstrip("'")[:1] in "fghFGPQ" and self.sees("("):
            arguments = self.call()
            return Apply("unknown:" + name, arguments)
        return _letter(name)

    def index(self) -> str:
        if not self.takes("{"):
            return self.next().text
        depth, parts = 1, []
        while depth:
            token = self.next()
            if token.kind == "end":
                raise Unreadable("an index that does not close")
            depth += (token.text == "{") - (token.text == "}")
            parts.append(token.text)
        return "".join(parts[:-1])

    def call(self) -> tuple[Node, ...]:
        self.expect("(")
        inner = self.deeper(self.listing)
        self.expect(")")
        return inner.items if isinstance(inner, Several) and not inner.braces else (inner,)

    def function(self, name: str) -> Node:
        name = ALIASES.get(name, name)
        base: Node | None = None
        power: Node | None = None
        while True:
            if name == "log" and base is None and self.takes("_"):
                base = self.argument()
            elif power is None and self.takes("^"):
                power = self.exponent()
            else:
                break
        if name == "sqrt" and self.sees("["):
            return self.root()
        if self.sees("("):
            arguments = self.call()
        elif self.sees("{"):
            arguments = (self.group(),)
            if isinstance(arguments[0], Several):
                arguments = arguments[0].items
        elif name == "sqrt":
            arguments = (self.power(),)
        else:
            arguments = (self.bare_argument(),)
        if base is not None:
            arguments = (*arguments, base)
        negative = isinstance(power, Number) and power.value == -1
        negative = negative or power == Apply("neg", (Number(Fraction(1)),))
        if power is not None and negative and name in ("sin", "cos", "tan", "cot"):
            return Apply("arc" + name, arguments)
        value = Apply(name, arguments)
        return value if power is None else Apply("^", (value, power))

    def bare_argument(self) -> Node:
        """Read the argument of a function without brackets: a product up to the next function."""
        negative = self.takes("-")
        value = self.power()
        while self.starts_factor() and not (
            self.peek().text in FUNCTIONS and self.peek().kind in ("command", "name")
        ):
            value = Apply("*", (value, self.power()))
        if self.sees("/") and self.peek(1).kind == "number":
            self.at += 1
            value = Apply("/", (value, self.power()))
        return Apply("neg", (value,)) if negative else value

    def root(self) -> Node:
        self.expect("[")
        order = self.sum()
        self.expect("]")
        return Apply("root", (self.argument(), order))

    def brackets(self, opening: str) -> Node:
        """Read `(...)` or `[...]`: a group, a tuple, a vector or an interval."""
        bars, self.bars = self.bars, 0
        currency = self.currency
        inner = self.deeper(self.listing)
        self.currency = currency
        self.bars = bars
        token = self.next()
        closings = {"<": (">", "rangle"), "langle": ("rangle", ">")}.get(opening, (")", "]"))
        outward = {"[", "]"} >= {opening, token.text}  # ]1, 5[ leaves out both of its ends
        if token.text not in closings and not (outward and token.text == "["):
            raise Unreadable("a bracket that does not close")
        if opening in ("<", "langle"):
            items = inner.items if isinstance(inner, Several) else (inner,)
            return Row(items, "(", ")")
        if isinstance(inner, Several) and not inner.braces:
            left = "(" if opening == "]" else opening
            return Row(inner.items, left, ")" if token.text == "[" else token.text)
        if (opening, token.text) == ("(", ")"):
            return inner
        if (opening, token.text) == ("[", "]"):
            return Row((inner,), "[", "]")
        raise Unreadable("brackets of two kinds around one item")

    def braces(self) -> Node:
        r"""Read `\{...\}`: a set, given by its members or by a condition."""
        if self.takes("}}"):
            return Several((), braces=True)
        self.bars += 1
        inner = self.deeper(self.listing)
        self.bars -= 1
        if self.takes("mid", "|", ":"):
            condition = self.deeper(self.listing)
            self.expect("}}")
            return condition
        self.expect("}}")
        items = inner.items if isinstance(inner, Several) and not inner.braces else (inner,)
        return Several(items, braces=True)

    def words(self, token: Token) -> Node:
        """Read text that stands where a value is expected: a name in upright letters."""
        word = token.text.strip(" .,:")
        if word.replace(".", "").replace(",", "").isdigit():
            return parse(word)
        if word in FUNCTIONS:
            return self.function(word)
        if word in CONSTANT_WORDS:
            return Symbol(CONSTANT_WORDS[word])
        if word in ("otherwise", "else"):
            return Symbol("otherwise")
        if word in ("if", "for", "when") and self.peek().kind != "end":
            return self.sum()
        if len(word) == 1 and word.isalpha():
            return self.symbol(word)
        raise Unreadable(f"the words {token.text!r}")

    def command(self, name: str) -> Node:
        if name == "frac":
            return Apply("/", (self.argument(), self.argument()))
        if name == "sqrt":
            return self.root() if self.sees("[") else Apply("sqrt", (self.root_argument(),))
        if name == "binom":
            return Apply("binom", (self.argument(), self.argument()))
        if name == "pi":
            return Symbol("pi")
        if name == "infty":
            return Symbol("infinity")
        if name == "imath":
            return Symbol("i")
        if name == "emptyset":
            return Several((), braces=True)
        if name == "ldots":
            return Symbol("ldots")
        if name in ("lfloor", "lceil"):
            inner = self.sum()
            self.expect("rfloor" if name == "lfloor" else "rceil")
            return Apply("floor" if name == "lfloor" else "ceil", (inner,))
        if name in ("sum", "prod", "int", "lim"):
            return self.bound(name)
        if name in ("angle", "triangle"):
            return Symbol(name + self.next().text)
        if name == "begin":
            return self.environment()
        if name == "langle":
            return self.brackets("langle")
        if name == "mathbb":
            letter = self.index() if self.sees("{") else self.next().text
            return Symbol("set:" + SETS.get(letter, letter))
        if name in ACCENTS:
            inner = self.argument()
            if name == "underline" or (name == "overline" and not isinstance(inner, Symbol)):
                return inner  # a line segment, which plain text calls AB
            if isinstance(inner, Symbol):
                unit_vector = name in ("hat", "vec", "widehat") and inner.name in "ijk"
                return Symbol(f"unit:{inner.name}" if unit_vector else inner.name)
            letters = [n.name for n in walk(inner) if isinstance(n, Symbol)]
            if isinstance(inner, Apply) and inner.name == "*" and len(letters) < 4:
                return Symbol("".join(sorted(letters)))
            raise Unreadable(f"\\{name} over an expression")
        if name in FUNCTIONS:
            return self.function(name)
        if name in GREEK:
            return self.symbol(name)
        raise Unreadable(f"\\{name}")

    def root_argument(self) -> Node:
        """Read what stands below a root; `\\sqrt12` is taken for the root of 12."""
        return self.group() if self.sees("{") else self.primary()

    def bound(self, name: str) -> Node:
        variable = "x"
        low: Node = ZERO
        high: Node = ZERO
        if name == "lim":
            self.expect("_")
            self.expect("{")
            variable = self.next().text
            self.expect("to")
            low = self.sum()
            self.expect("}")
            return Bound("lim", variable, low, low, self.product())
        while self.sees("_", "^"):
            below = self.next().text == "_"
            if below and name != "int":
                self.expect("{")
                variable = self.next().text
                self.expect("=")
                low = self.sum()
                self.expect("}")
            elif below:
                low = self.argument()
            else:
                high = self.argument()
        if name != "int":
            return Bound(name, variable, low, high, self.product())
        before, self.differential = self.differential, "d"
        body = self.sum()
        self.differential = before
        token = self.next()
        if token.kind == "text" and token.text == "d":
            token = Token("name", "d", False)
        if token.kind != "name" or token.text[:1] != "d":
            raise Unreadable("an integral without its differential")
        variable = token.text[1:] or self.next().text
        if low is ZERO and high is ZERO:
            raise Unreadable("an integral without bounds")
        return Bound("int", variable, low, high, body)

    def environment(self) -> Node:
        name = self.index()
        if name == "array":
            self.index()
        rows: list[list[Node]] = [[]]
        end = len(self.tokens)
        while True:
            if self.takes("end"):
                self.index()
                break
            if self.at >= end:
                raise Unreadable("a matrix that does not end")
            if self.takes("\\"):
                rows.append([])
            elif not self.takes("&"):
                rows[-1].append(self.deeper(self.listing))
        rows = [row for row in rows if row]
        if not rows:
            raise Unreadable("an empty matrix")
        if name in ("cases", "aligned", "align", "gathered", "split"):
            lines = tuple(row[0] if len(row) == 1 else Row(tuple(row), "(", ")") for row in rows)
            return Several(lines)
        if len({len(row) for row in rows}) != 1:
            raise Unreadable("a matrix with rows of different lengths")
        matrix = Matrix(tuple(map(tuple, rows)))
        return Apply("det", (matrix,)) if name == "vmatrix" else matrix


def _several(items: list[Node], word: str = "") -> Node:
    return items[0] if len(items) == 1 else Several(tuple(items), word=word)


def _letter(name: str) -> Symbol:
    return Symbol(name)


def _literal(text: str) -> Number:
    whole, point, fraction = text.partition(".")
    if not point:
        return Number(Fraction(int(whole)))
    digits = (whole + fraction).lstrip("0")
    return Number(Fraction(text), max(1, len(digits)), len(fraction))


def _proper(top: Node, bottom: Node) -> bool:
    return (
        isinstance(top, Number)
        and isinstance(bottom, Number)
        and top.digits is bottom.digits is None
        and 0 < top.value < bottom.value
    )
