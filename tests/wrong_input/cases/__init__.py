"""All cases, a file for each kind of thing that can be wrong."""

from tests.wrong_input.cases import (
    checkpoints,
    commands,
    configs,
    data,
    endpoints,
    environments,
)

CASES = [
    *commands.CASES,
    *configs.CASES,
    *data.CASES,
    *checkpoints.CASES,
    *environments.CASES,
    *endpoints.CASES,
]
