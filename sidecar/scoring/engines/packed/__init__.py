"""The packed engine for decoders with a score head: no padding, shared prefixes computed once, fused weights.

Read in this order: `layout` (plain integers: each token's row, and the rows it sees), `architectures` (which decoders,
and how they differ), `weights` (the fused buffers; `fp8`), `block` (one layer's arithmetic), `attention`, `engine` (all
of it together), then `loader`, `readable` and `lora` (from files into the buffers), `compiling` and `transfer`.
Importing this package loads no torch.
"""
