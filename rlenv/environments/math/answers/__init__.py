"""Reading a final answer and deciding whether two answers are the same.

Nothing in this package imports the rest of rlenv, and nothing in it hands text to an interpreter:
a text becomes tokens, the tokens a tree, and the tree a value, by code that only knows the forms
listed in `parser`. It runs in a process of its own that can be killed
(`rlenv.environments.math.worker`).
"""
