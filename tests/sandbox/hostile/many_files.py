# EXPECT: notpass | CHECK: wall<=20,canary | makes files without content until it can't
def solve(n):
    made = 0
    for i in range(200_000):
        try:
            open(f"f{i}", "w").close()
            made += 1
        except OSError:
            break
    return {"made": made}
