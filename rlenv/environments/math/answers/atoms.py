r"""What a value is made of: numbers, names, functions, groups and brackets."""

from __future__ import annotations

from fractions import Fraction

from . import units
from .lexer import (
    CONSTANT_WORDS,
    FUNCTION_ALIASES,
    FUNCTIONS,
    OF_SEVERAL,
    Style,
    Token,
    TokenStream,
    tokenize,
)
from .limits import Unreadable
from .nodes import (
    Apply,
    Matrix,
    Node,
    Number,
    Relation,
    Row,
    Several,
    Symbol,
    variables,
)


class Atoms(TokenStream):
    """The narrowest levels of the grammar.

    They hold the wide ones again, in brackets; those are named here and defined in `latex` and
    in `parser`.
    """

    def answer(self) -> Node:
        """Read all there is."""
        raise NotImplementedError

    def command(self, name: str) -> Node:
        """Read what a LaTeX command begins; its name has been taken."""
        raise NotImplementedError

    def listing(self) -> Node:
        """Read items between commas."""
        raise NotImplementedError

    def sum(self) -> Node:
        """Read terms with plus and minus between them."""
        raise NotImplementedError

    def product(self) -> Node:
        """Read factors, with or without a sign between them."""
        raise NotImplementedError

    def signed(self) -> Node:
        """Read a factor with signs before it."""
        raise NotImplementedError

    def starts_factor(self) -> bool:
        """Whether a factor follows without a sign of multiplication."""
        raise NotImplementedError

    def power(self) -> Node:
        """Read a base with its exponent and what stands behind it."""
        raise NotImplementedError

    def exponent(self) -> Node:
        """Read what stands behind `^`."""
        raise NotImplementedError

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
            return Symbol(token.text[0])
        if token.kind == "number":  # a number behind it is no part of it: \\log_2 8
            return _literal(self.next().text)
        return self.primary()

    def primary(self) -> Node:
        """Read one form."""
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
            return Apply("det" if isinstance(inner, Matrix) else "abs", (inner,))
        if token.text == "<" and self.depth < 5:
            return self.brackets("<")
        raise Unreadable(f"{token.text!r} was not expected")

    def number(self, token: Token) -> Node:
        """Read a number, or a mixed number such as 2 1/3."""
        literal = _literal(token.text)
        if literal.digits is not None:
            return literal
        # 2 1/3 and 2\frac{1}{3} are mixed numbers where the fraction is a proper one
        if self.sees("frac", kind="command"):
            at = self.at
            self.at += 1
            top, bottom = self.argument(), self.argument()
            if _proper(top, bottom):
                return Apply("mixed", (literal, Apply("/", (top, bottom))))
            self.at = at
        first, slash, second = self.peek(), self.peek(1), self.peek(2)
        if first.kind == "number" and first.spaced:
            if slash.text == "/" and second.kind == "number":
                top, bottom = _literal(first.text), _literal(second.text)
                if _proper(top, bottom):
                    self.at += 3
                    return Apply("mixed", (literal, Apply("/", (top, bottom))))
            raise Unreadable("two numbers in a row")
        return literal

    def name(self, token: Token) -> Node:
        """Read letters: a function, a constant, or variables one after the other."""
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
        index: str | None = None
        primes = ""
        while self.sees("'") or (index is None and self.sees("_")):  # in either order
            if self.takes("'"):
                primes += "'"
            else:
                self.expect("_")
                index = self.index()
        name += primes + ("" if index is None else "_" + index)
        ahead = [self.peek(n).text for n in range(6)]
        if name in ("f", "g", "h") and ahead == ["^", "{", "-", "1", "}", "("]:
            self.at += 5
            name += "^-1"
        is_named = name.rstrip("'")[:1] in "fghFGPQ" or self.defines_function()
        if is_named and self.sees("("):
            arguments = self.call()
            return Apply("unknown:" + name, arguments)
        return Symbol(name)

    def defines_function(self) -> bool:
        """Whether `(t) =` or `(x, t) =` comes next, so that the letter before names a function."""
        ahead = 1
        while self.peek(ahead).kind == "name" and self.peek(ahead + 1).text == ",":
            ahead += 2
        return (
            self.sees("(")
            and self.peek(ahead).kind == "name"
            and len(self.peek(ahead).text) == 1
            and self.peek(ahead + 1).text == ")"
            and self.peek(ahead + 2).text == "="
        )

    def index(self) -> str:
        """Read an index as text: a token or what stands in braces."""
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
        """Read the arguments of a function in brackets."""
        self.expect("(")
        inner = self.deeper(self.listing)
        self.expect(")")
        return inner.items if isinstance(inner, Several) and not inner.braces else (inner,)

    def function(self, name: str) -> Node:
        """Read the base, the power and the arguments of a function whose name has been taken."""
        name = FUNCTION_ALIASES.get(name, name)
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
        most = 2 if name == "log" else 1
        if not arguments or (len(arguments) > most and name not in OF_SEVERAL):
            raise Unreadable(f"{name} of {len(arguments)} values")
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
        """Read a root with its order: `[3]{8}`."""
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
        if isinstance(inner, Matrix) and opening in ("(", "["):
            return inner  # \\left[\\begin{array} ... \\end{array}\\right]
        if isinstance(inner, Several) and inner.word and all(map(_is_condition, inner.items)):
            return inner
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
            if isinstance(inner, Symbol) and inner.name not in variables(condition):
                raise Unreadable(f"a condition that says nothing of {inner.name}")
            return condition
        self.expect("}}")
        items = inner.items if isinstance(inner, Several) and not inner.braces else (inner,)
        return Several(items, braces=True)

    def words(self, token: Token) -> Node:
        """Read text that stands where a value is expected: a name in upright letters."""
        word = token.text.strip(" .,:")
        if word.replace(".", "").replace(",", "").isdigit():
            return type(self)(tokenize(word, Style())).answer()
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


def _is_condition(node: Node) -> bool:
    return isinstance(node, Relation) or (isinstance(node, Several) and bool(node.word))


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
