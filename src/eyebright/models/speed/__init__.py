"""``speed``, the network that learns small pictures soonest, and what makes it quick on a processor.

``network``   the plan: whitening, groups, head; ``block``: its layers, plain or fused
``engine``    when the fused functions are worth having
``fused``     a block forward and backward; ``weight_gradient``: its convolution's backward passes
``kernels``   pooling, norm and activation, compiled by numba; ``arrays``: tensors as they take them
"""
