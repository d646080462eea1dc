"""The packed engine for encoders: BERT, RoBERTa, XLM-RoBERTa and ModernBERT without padding.

Read in this order: `readable` (which models: allow-lists of configuration keys and of weights), `weights` (a
transformers model's weights, by what they do), `block` (one layer's arithmetic), `forward` (a batch through all
layers), `engine` (a cross-encoder and a bi-encoder). Attention and packing are those of the decoders (`packed`).
"""
