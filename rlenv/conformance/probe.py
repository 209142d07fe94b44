"""The child process of the check across processes: observes an environment and prints it."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Read a request from standard input, write the observations as one line of JSON."""
    import logging
    import warnings

    from rlenv.conformance.determinism import observe
    from rlenv.conformance.env_under_test import EnvUnderTest
    from rlenv.conformance.suite import CheckSettings

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    request = json.load(sys.stdin)
    settings = CheckSettings(tasks=request["tasks"], seed=request["seed"])
    seen = observe(EnvUnderTest(request["ref"], request["options"], settings))
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main()
