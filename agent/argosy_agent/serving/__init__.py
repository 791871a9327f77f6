"""What answers a prediction: the handle of a slot, in process and over the Open Inference Protocol."""
