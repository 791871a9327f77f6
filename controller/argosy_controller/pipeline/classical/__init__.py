"""Fitted estimators of scikit-learn as models: read from files, fitted, and turned into ONNX and torch."""
