"""The words that the parser knows."""

from __future__ import annotations

FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "sinh",
    "cosh", "tanh", "coth", "asin", "acos", "atan", "ln", "log", "lg", "exp", "sqrt", "cbrt",
    "abs", "floor", "ceil", "gcd", "lcm", "max", "min", "det", "arsinh", "arcosh", "artanh",
    "Re", "Im", "sgn", "arg", "factorial", "sech", "csch", "cis",
}  # fmt: skip
OF_SEVERAL = {"max", "min", "gcd", "lcm"}  # all others take one value
ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log10"}
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega", "ell",
    "hbar",
}  # fmt: skip
CONSTANT_WORDS = {"pi": "pi", "inf": "infinity", "infinity": "infinity", "oo": "infinity"}
ACCENTS = {"vec", "hat", "bar", "tilde", "dot", "overline", "underline", "widehat"}
SETS = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}
RELATIONS = {"=", "<", ">", "<=", ">=", "!="}
# commands that a factor can begin with
FORMS = {
    "frac", "sqrt", "binom", "pi", "infty", "sum", "prod", "int", "lim", "lfloor", "lceil",
    "log", "imath", "mathbb", "max", "min", "begin",
}  # fmt: skip
STARTS = FUNCTIONS | GREEK | ACCENTS | FORMS
