"""Which families of reasoning-gym 0.1.25 there are, and which are left out, with the reason.

The table is kept here so that `import rlenv` needs no reasoning-gym; a test compares it with the
installed library.
"""

from __future__ import annotations

FAMILIES: dict[str, int | None] = {
    "ab": 3,
    "acre": None,
    "advanced_geometry": 3,
    "aiw": 8,
    "arc_1d": 3,
    "arc_agi": 3,
    "base_conversion": 4,
    "basic_arithmetic": 4,
    "bf": 2,
    "binary_alternation": 3,
    "binary_matrix": 3,
    "bitwise_arithmetic": 9,
    "caesar_cipher": 1,
    "calendar_arithmetic": 3,
    "chain_sum": 10,
    "circuit_logic": 4,
    "coin_flip": 12,
    "color_cube_rotation": 4,
    "complex_arithmetic": 3,
    "count_bits": 4,
    "count_primes": 4,
    "countdown": 4,
    "course_schedule": 4,
    "cryptarithm": 3,
    "decimal_arithmetic": 3,
    "decimal_chain_sum": 4,
    "dice": 3,
    "emoji_mystery": 5,
    "family_relationships": 8,
    "figlet_font": 5,
    "fraction_simplification": 3,
    "futoshiki": 3,
    "game_of_life": 3,
    "game_of_life_halting": 1,
    "gcd": 3,
    "graph_color": 3,
    "group_anagrams": 3,
    "gsm_symbolic": None,
    "isomorphic_strings": 3,
    "jugs": 1,
    "kakurasu": 3,
    "knights_knaves": 3,
    "largest_island": 3,
    "lcm": 3,
    "leg_counting": 35,
    "letter_counting": 7,
    "letter_jumble": 4,
    "list_functions": None,
    "mahjong_puzzle": 3,
    "manipulate_matrix": 4,
    "maze": 3,
    "mini_sudoku": 4,
    "modulo_grid": 0,
    "n_queens": 3,
    "needle_haystack": 3,
    "number_filtering": 3,
    "number_format": 3,
    "number_sequence": 2,
    "number_sorting": 7,
    "palindrome_generation": 3,
    "palindrome_partitioning": 3,
    "path_star": 3,
    "polynomial_equations": 3,
    "pool_matrix": 3,
    "power_function": 4,
    "prime_factorization": 3,
    "products": 10,
    "puzzle24": 6,
    "quantum_lock": 9,
    "ransom_note": 3,
    "rearc": 6,
    "rectangle_count": 4,
    "rotate_matrix": 4,
    "rotten_oranges": 3,
    "rubiks_cube": 0,
    "self_reference": 9,
    "sentence_reordering": 3,
    "shortest_path": 3,
    "simple_equations": 3,
    "simple_geometry": 3,
    "sokoban": None,
    "spell_backward": 4,
    "spiral_matrix": 3,
    "string_insertion": 3,
    "string_manipulation": 4,
    "string_splitting": 3,
    "string_synthesis": 3,
    "sudoku": 4,
    "survo": 1,
    "syllogism": 3,
    "time_intervals": 6,
    "tower_of_hanoi": 3,
    "tsumego": 3,
    "word_ladder": 2,
    "word_sequence_reversal": 3,
    "word_sorting": 4,
    "zebra_puzzles": 3,
}
"""Family to the highest level of its curriculum that works; None where it has no curriculum."""

LOWEST = {"coin_flip": 3, "n_queens": 1, "tower_of_hanoi": 1}
"""Family to its lowest level, where those below hold too few tasks for three splits."""

LEFT_OUT = {
    "boxnet": "its items have no answer to demonstrate, and its scorer fails on a bare number",
    "codeio": "it runs thousands of programs of unknown origin, some of them random",
    "composite": "it mixes other families, which rlenv/Mix-v0 does",
    "intermediate_integration": "its scorer hands the reply to sympy, which runs it as Python",
    "knight_swap": "its items depend on PYTHONHASHSEED",
    "polynomial_multiplication": "its items depend on PYTHONHASHSEED; its scorer runs the reply",
    "propositional_logic": "a premise repeated from the question is a right answer",
    "rush_hour": "its items have no answer to demonstrate",
    "simple_integration": "its scorer hands the reply to sympy, which runs it as Python",
}
"""Family to the reason why it is no environment."""


def no_level(family: str, level: int | None) -> str | None:
    """Return what levels a family has where this is none of them, else None."""
    lowest, highest = LOWEST.get(family, 0), FAMILIES[family]
    if level is None or (highest is not None and lowest <= level <= highest):
        return None
    levels = "no levels" if highest is None else f"levels {lowest} to {highest}"
    return f"reasoning_gym/{family} has {levels}, so level={level} is none"
