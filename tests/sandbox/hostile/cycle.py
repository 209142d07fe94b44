# EXPECT: output_limit | CHECK: - | a list that contains itself
def solve(n):
    value = []
    value.append(value)
    return value
