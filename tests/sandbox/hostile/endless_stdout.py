# EXPECT: timeout | CHECK: wall<=10 | prints for ever
def solve(n):
    while True:
        print("y" * 10_000)
