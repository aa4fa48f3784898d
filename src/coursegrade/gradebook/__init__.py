"""A class and its tables: what people hand in and get back."""
