"""Measurements that back what the documentation claims. Nothing in the package imports this."""
