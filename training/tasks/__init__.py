"""What is fitted: detector, recogniser, language model, and the kind of writing."""
