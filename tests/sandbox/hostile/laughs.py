# EXPECT: output_limit | CHECK: wall<=10 | a small object whose encoding is exponential
def solve(n):
    value = [0]
    for _ in range(90):
        value = [value, value]
    return value
