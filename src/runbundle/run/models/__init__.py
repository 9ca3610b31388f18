"""Models as runs meet them: found by a reference, verified, and recorded as used (docs/model_registry.md).

``model`` reads one, ``aliases`` what they are called now, ``reference`` finds what a reference names, ``used`` records
it. What brings models into ``models/`` is in ``runbundle.store``.
"""
