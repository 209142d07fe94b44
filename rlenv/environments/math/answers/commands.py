"""LaTeX commands: fractions and roots, accents, operators with bounds, matrices and cases."""

from __future__ import annotations

from fractions import Fraction

from .errors import Unreadable
from .forms import Forms
from .lexer import Token
from .nodes import Apply, Bound, Matrix, Node, Number, Row, Several, Symbol, variables, walk
from .vocabulary import ACCENTS, FUNCTIONS, GREEK, SETS

ZERO = Number(Fraction(0))


class Commands(Forms):
    """What begins with a command."""

    def command(self, name: str) -> Node:
        r"""Read what a command begins; its name has been taken."""
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
        r"""Read `\begin{...}` to its end: a matrix, a determinant, or lines such as cases."""
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
