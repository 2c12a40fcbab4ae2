"""Photographs to a bundle, beside fastai and plain logistic regression; loading, and answering, beside the libraries' own."""
