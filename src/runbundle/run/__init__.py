"""One run: made by a ``Project``, written through a ``RunIO``, read as a ``Run``.

``state`` is what the logs say; ``manifest`` its projection; ``seal`` closes a run; ``verify`` and ``check`` answer
whether it is intact and complete. The format of it all is docs/format.md.
"""
