"""Text to tokens and back: what is learnt from data and stored with a model. One kind a file; see `base.py`."""
