"""The packed engine for Llama's sequence classifiers: no padding, what pairs share computed once, fused weights.

Read in this order: `layout` (plain integers: which row stands where and sees whom), `weights` (the fused buffers),
`block` (one layer's arithmetic), `attention`, `engine` (all of it together), then `reading` and `lora` (from files
into the buffers), `compiling` and `transfer`. Importing this package loads no torch.
"""

# What a config.json calls the one architecture that is packed.
MODEL_TYPE = "llama"
