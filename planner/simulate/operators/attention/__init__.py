"""Token mixing, one module for each kind: dimensions, matrices, cache, prefill and decode cost.

`kinds` picks the class of a layer, `layer` says what each class must tell.
"""
