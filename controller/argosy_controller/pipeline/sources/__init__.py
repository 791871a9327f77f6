"""Trained models that come as files: a checkpoint for a task's model, or a graph that is a model by itself.

opening.py     the front door: a file and a task go in, a torch module comes out
kinds.py       what a file is, by its content
checkpoints.py weights for the model that a task writes: safetensors, and PyTorch's own (a pickle) where that is trusted
onnx_to_torch/ an ONNX graph by torch's operators, for converters that start there
graphs.py      models that have no layers to compress: they are run, converted and quantised as they are
exported.py    `torch.export` archives (.pt2), which can hide pickles and calls: looked through before torch reads them
"""
