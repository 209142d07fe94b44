"""The rows that need no file or download, known to `load_rows`. Importing this registers them."""

from __future__ import annotations

from rlenv.core.rows import Rows, register_rows


def _generated(name: str) -> Rows:
    from rlenv.data.generated import rows

    return rows(name)


def _python_topics(name: str) -> Rows:
    from rlenv.data.python_texts import python_topics

    return python_topics()


def _python_docs(name: str) -> Rows:
    from rlenv.data.python_texts import python_docs

    return python_docs()


register_rows("generated:", _generated)
register_rows("python_topics", _python_topics)
register_rows("python_docs", _python_docs)
