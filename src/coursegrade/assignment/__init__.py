"""What an assignment asks: the text that an instructor writes, read once."""
