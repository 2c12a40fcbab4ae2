"""The steps of ``tune``: the space that is searched, one trial, the study that proposes trials, and what came of it."""
