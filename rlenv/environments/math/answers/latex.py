r"""LaTeX commands: fractions and roots, accents, operators with bounds, matrices and cases."""

from __future__ import annotations

from fractions import Fraction

from .atoms import Atoms
from .lexer import ACCENTS, FUNCTIONS, GREEK, RELATIONS, SETS, Token
from .limits import Unreadable
from .nodes import Apply, Bound, Matrix, Node, Number, Row, Several, Symbol, variables, walk

ZERO = Number(Fraction(0))
LINES = {"cases", "aligned", "align", "split", "gathered", "eqnarray", "alignat", "gather"}
LINES |= {f"{name}*" for name in LINES} | {"rcases", "dcases"}
MATRICES = {"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array"}
ENVIRONMENTS = LINES | MATRICES


class LatexCommands(Atoms):
    """What begins with a command."""

    def command(self, name: str) -> Node:
        r"""Read what a command begins; its name has been taken."""
        if name == "frac":
            top, bottom = self.argument(), self.argument()
            return self.derivative(top, bottom) or Apply("/", (top, bottom))
        if name == "partial":
            return Symbol("partial")
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
            if name == "underline":
                return inner
            if isinstance(inner, Symbol):
                unit_vector = name in ("hat", "vec", "widehat") and inner.name in "ijk"
                return Symbol(f"unit:{inner.name}" if unit_vector else inner.name)
            if name in ("overline", "bar") and not variables(inner):
                return Apply("conjugate", (inner,))
            letters = [n.name for n in walk(inner) if isinstance(n, Symbol)]
            if isinstance(inner, Apply) and inner.name == "*" and len(letters) < 4:
                # a line segment is AB in plain text; a vector is not
                return inner if name == "overline" else Symbol("".join(sorted(letters)))
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
        r"""Read `\sum`, `\prod`, `\int` or `\lim` with its bounds and its body."""
        variable = "x"
        low: Node = ZERO
        high: Node = ZERO
        if name == "lim":
            self.expect("_")
            self.expect("{")
            variable = self.next().text
            self.expect("to")
            side = self.approach()
            low = self.sum()
            self.expect("}")
            return Bound("lim", variable, low, Number(Fraction(side)), self.product())
        bounded = self.sees("_", "^")
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
        if not bounded:
            return Bound("antiderivative", variable, ZERO, ZERO, body)
        return Bound("int", variable, low, high, body)

    def derivative(self, top: Node, bottom: Node) -> Node | None:
        r"""Read `\frac{d}{dx}` and `\frac{\partial^2}{\partial x^2}` with what comes behind."""
        order = Fraction(1)
        if isinstance(top, Apply) and top.name == "^" and isinstance(top.arguments[1], Number):
            order = top.arguments[1].value
            top = top.arguments[0]
        if top not in (Symbol("d"), Symbol("partial")) or not self.starts_factor():
            return None
        if not (isinstance(bottom, Apply) and bottom.name == "*" and bottom.arguments[0] == top):
            return None
        power = Fraction(1)
        letter: Node = bottom.arguments[1]
        if isinstance(letter, Apply) and letter.name == "^":
            exponent = letter.arguments[1]
            letter = letter.arguments[0]
            power = exponent.value if isinstance(exponent, Number) else Fraction(0)
        if not isinstance(letter, Symbol) or power != order or order not in (1, 2, 3, 4):
            return None
        high = Number(order)
        return Bound("diff", letter.name, high, high, self.product())

    def approach(self) -> int:
        """Take the sign of `0^+` or `0^{-}` out of the tokens ahead, and return it as a number."""
        for ahead in range(12):
            texts = [self.peek(ahead + n).text for n in range(5)]
            if texts[0] == "}":
                return 0
            if texts[0] != "^":
                continue
            braces = texts[1] == "{"
            sign, end = texts[1 + braces], texts[2 + braces]
            if sign in ("+", "-") and end == "}":
                at = self.at + ahead
                del self.tokens[at : at + 2 + 2 * braces]
                return 1 if sign == "+" else -1
        return 0

    def join_lines(self) -> None:
        r"""Take the marks of alignment out of the lines ahead; `\\ &= 3` goes on with a chain."""
        depth, at = 1, self.at
        while at < len(self.tokens) and depth:
            token = self.tokens[at]
            depth += (token == ("command", "begin", token.spaced)) - (
                token == ("command", "end", token.spaced)
            )
            if depth == 1 and token.text == "&" and token.kind == "sign":
                del self.tokens[at]
                continue
            if depth == 1 and token.text == "\\" and token.kind == "command":
                after = [t for t in self.tokens[at + 1 : at + 4] if t.text != "&"]
                if after and after[0].kind == "sign" and after[0].text in RELATIONS:
                    del self.tokens[at]
                    continue
            at += 1

    def environment(self) -> Node:
        r"""Read `\begin{...}` to its end: a matrix, a determinant, or lines such as cases."""
        name = self.index()
        if name not in ENVIRONMENTS:
            raise Unreadable(f"the environment {name}")
        if name == "array":
            self.index()
        if name in LINES and "cases" not in name:
            self.join_lines()
        rows: list[list[Node]] = [[]]
        end = len(self.tokens)
        while True:
            if self.takes("end"):
                if self.index() != name:
                    raise Unreadable(f"the environment {name} ends as another")
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
        if name in LINES:
            lines = tuple(row[0] if len(row) == 1 else Row(tuple(row), "(", ")") for row in rows)
            return Several(lines)
        if len({len(row) for row in rows}) != 1:
            raise Unreadable("a matrix with rows of different lengths")
        matrix = Matrix(tuple(map(tuple, rows)))
        return Apply("det", (matrix,)) if name == "vmatrix" else matrix
