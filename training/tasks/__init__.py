"""The models that are trained: detector, recogniser, language model, and the classifier of handwriting and print."""
