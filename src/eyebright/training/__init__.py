"""Makes a network that knows the user's classes, seeded and resumable, from pictures that are already prepared.

``fit``         the training loop: validation, early stopping, a checkpoint between steps; ``step``: one step
``recipe``      how a network is trained, as a value; ``optim``: optimisers and decay by kind; ``schedule``: the rate over time
``losses``      what is minimised; ``sampling``: what an epoch shows; ``average``: a running average of the weights
``forward``     prepared pictures, and a network run over them; ``pictures``: some of them, read as they are asked for;
                ``pace``: how long that takes
``augment``     changes to training pictures, drawn by counter; ``mirror``: whether mirrored copies may be among them
``head``        a linear head on frozen features, its strength chosen out of fold
``features``    those features, computed once for each picture's content and kept between runs
``transfer``    from a pretrained network to a classifier: the head first, then fine-tuning, if that helps
``scratch``     from initial weights, and what both ways share
``members``     the chosen way again: for folds, ensembles and learning curves
``contact``     what training will see, as a picture
``checkpoint``  a training state in one file

It never reads a picture, never chooses the settings, never judges on the test part and never writes a bundle.
"""
