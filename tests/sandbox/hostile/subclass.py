# EXPECT: fail | CHECK: - | an int that claims to equal everything
class Any(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def solve(n):
    return Any(0)
