"""The steps of ``train``, in their order: ``gathering``, ``choosing``, ``learning``, ``bundling``, ``reporting``."""
