"""From an ONNX file to a network of torch's operators: one table, operator to function, in a few files by theme.

importing.py   the front door: a file and example inputs go in, a torch.fx module comes out
reading.py     bounds on what a hostile file may hold
values.py      what stands for a tensor of the file while it is imported
building.py    the graph in the making: folds what is constant, names weights after the file's
table.py       every operator that converts; arithmetic.py, activations.py, layers.py, shapes.py, selecting.py, reducing.py,
               recurrent.py hold them
"""
