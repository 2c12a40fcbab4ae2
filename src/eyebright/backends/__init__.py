"""The only makers of predictors: each form of a bundle opened as a function from pixels to logits and features.

``open_predictor`` takes the fastest form that can run here; ``predictions_of`` is the one loop that makes a table of
predictions. Nothing here trains, judges or writes.
"""
