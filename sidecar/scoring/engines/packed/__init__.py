"""The packed engine for Llama's sequence classifiers: no padding, shared prefixes computed once, fused weights.

Read in this order: `layout` (plain integers: each token's row, and the rows it sees), `weights` (the fused buffers),
`block` (one layer's arithmetic), `attention`, `engine` (all of it together), then `loader` and `lora` (from files
into the buffers), `compiling` and `transfer`. Importing this package loads no torch.
"""

# The `model_type` of the only architecture that is packed.
MODEL_TYPE = "llama"
