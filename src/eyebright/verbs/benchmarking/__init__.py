"""The steps of ``benchmark``: one process a form, asked in turns; and what the processor could do at best."""
