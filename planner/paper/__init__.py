"""The study "Beyond the Buzz: A Pragmatic Take on Inference Disaggregation" (arXiv 2506.05508), in the open.

Its figures from this simulator, its findings as checks that can fail, and what it left out: other
systems and models, absolute numbers, the price of a fixed ratio and of a small fleet.
"""
