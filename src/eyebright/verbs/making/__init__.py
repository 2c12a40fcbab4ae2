"""The steps of ``train``, in their order: ``gathering``, ``choosing``, ``learning``, ``judging``, ``reporting``, ``finishing``.

``placing`` is where all of it lies, ``story`` and ``watching`` what is told and kept of it, ``announcing`` the answer of a dry
run. The rest are parts of the steps, or used by several verbs.
"""
