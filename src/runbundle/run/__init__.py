"""One run: made by a ``Project``, written through a ``RunIO``, read as a ``Run``.

Rooms: ``settings`` is what it is started with, ``origin`` the code and the machine it comes from, ``log`` what it says,
``metrics``, ``models`` and ``tables`` what it holds besides artifacts, ``bare`` how it is written by bare paths.

``seal`` closes a run; ``verify`` and ``check`` answer whether it is intact and complete. The format of it all is
docs/format.md.
"""
