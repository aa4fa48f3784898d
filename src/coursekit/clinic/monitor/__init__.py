"""Record every step of a Keras model's training."""
