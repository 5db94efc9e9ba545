"""TorchJD's aggregators and scalarizers as methods, each by its name: `torchjd.upgrad`, `torchjd.imtl_l`, ...

- `catalogue`: which names there are, read from the package, and what it does not say of them;
- `options`: hyperparameters from a signature, and back to arguments;
- `wrapped`: one module of TorchJD, with its errors, random numbers and state;
- `adapted`, `losses`, `gradients`: the `Weighting` around it, one for each way that TorchJD's modules work;
- `classes`: which of these is a method's, with its signature.
"""
