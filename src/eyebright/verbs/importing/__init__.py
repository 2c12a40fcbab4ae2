"""The steps of ``import``: what a file holds, what was declared of it, the forms made of it, and the bundle around them."""
